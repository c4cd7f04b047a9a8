import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { LINKER } from '../../../src/config/commands/linker.ts';
import { NODE } from '../../../src/config/commands/node.ts';
import { SCALER } from '../../../src/config/commands/scaler.ts';
import { loadCommand } from '../../../src/config/load.ts';
import { faultsOf, type Manifest, readManifests } from '../../support/kubernetes-manifests.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const FOLDER = join(ROOT, 'deploy/kubernetes/manifests');
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));
const manifests = files.flatMap((name) => readManifests(join(FOLDER, name)));

const one = (kind: string, name: string): Manifest => {
  const found = manifests.filter((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found.length !== 1) throw new Error(`${found.length} manifests of ${kind} ${name}`);
  return found[0] as Manifest;
};
const template = readFileSync(join(ROOT, 'deploy/recipes/kubernetes/instance.yaml'), 'utf8');
const INSTANCES = 'pullproxy-instances';
const instance = parse(one('ConfigMap', 'pullproxy-instance').data['instance.yaml']) as Manifest;
const pods = [...manifests, instance].filter(({ spec }) => spec?.template?.spec !== undefined);

describe('the manifests', () => {
  test.each([...manifests, instance].map((manifest) => ({ title: `${manifest.kind} ${manifest.metadata.name}`, manifest })))(
    '$title is as the API expects it',
    async ({ manifest }) => {
      expect(await faultsOf(manifest)).toEqual([]);
    },
  );

  test('would not pass with a field misspelled, or of a wrong type', async () => {
    const node = one('Deployment', 'pullproxy-node');
    const changed = (change: object): Manifest => ({ ...node, spec: { ...node.spec, ...change } });
    expect(await faultsOf(changed({ replica: 2 }))).toEqual(['/spec/replica: unknown field']);
    expect(await faultsOf(changed({ replicas: 'two' }))).toEqual([expect.stringContaining('/spec/replicas: type')]);
  });

  test('are in two namespaces, which let only Pods without rights in; what a Job may mount where instances are is no more than it needs', () => {
    const namespaces = manifests.filter(({ kind }) => kind === 'Namespace').map(({ metadata }) => metadata.name);
    expect(namespaces).toEqual(['pullproxy', INSTANCES]);
    const elsewhere = manifests.filter(({ kind, metadata }) => kind !== 'Namespace' && metadata.namespace !== 'pullproxy');
    expect(elsewhere.map(({ kind, metadata }) => `${metadata.namespace} ${kind}`)).toEqual(
      ['NetworkPolicy', 'Role', 'RoleBinding'].map((kind) => `${INSTANCES} ${kind}`),
    );
    const secrets = instance.spec.template.spec.containers[0].env.filter(({ valueFrom }: Manifest) => valueFrom !== undefined);
    expect(secrets.map(({ valueFrom }: Manifest) => valueFrom.secretKeyRef.key)).toEqual(['secret']);
    for (const { spec } of pods) {
      const pod = spec.template.spec;
      for (const { securityContext, ...container } of pod.containers) {
        const merged = { ...pod.securityContext, ...securityContext };
        expect([container.name, merged]).toEqual([
          container.name,
          expect.objectContaining({
            allowPrivilegeEscalation: false,
            runAsNonRoot: true,
            capabilities: { drop: ['ALL'] },
            seccompProfile: { type: 'RuntimeDefault' },
          }),
        ]);
      }
    }
  });

  test('find each other: Services and budgets their Pods, ports their names, volumes their maps', () => {
    const labels = pods.map(({ spec }) => spec.template.metadata?.labels ?? {});
    const choosers = manifests.flatMap(({ kind, spec }) =>
      kind === 'Service' ? [spec.selector] : kind === 'PodDisruptionBudget' || kind === 'Deployment' ? [spec.selector.matchLabels] : [],
    );
    expect(choosers.length).toBeGreaterThan(5);
    for (const chooser of choosers) expect(labels).toContainEqual(expect.objectContaining(chooser));
    const named = pods.flatMap(({ spec }) =>
      spec.template.spec.containers.flatMap(({ ports = [] }) => ports.map(({ name }: { name: string }) => name)),
    );
    const targets = manifests
      .filter(({ kind }) => kind === 'Service')
      .flatMap(({ spec }) => spec.ports.map(({ targetPort }: { targetPort: string }) => targetPort));
    expect(targets.filter((target) => !named.includes(target))).toEqual([]);
    for (const { configMap } of pods.flatMap(({ spec }) => spec.template.spec.volumes ?? [])) {
      if (configMap !== undefined) one('ConfigMap', configMap.name);
    }
    const { roleRef, subjects, metadata } = one('RoleBinding', 'pullproxy-scaler');
    expect(one('Role', roleRef.name).metadata.namespace).toBe(metadata.namespace);
    const scaler = one('Deployment', 'pullproxy-scaler').spec.template.spec.containers[0];
    expect(scaler.env.find(({ name }: { name: string }) => name === 'POD_NAMESPACE').value).toBe(metadata.namespace);
    const proxy = instance.spec.template.spec.containers[0].env[0].value as string;
    const [service = '', namespace = '', port = ''] = proxy.split(/[.:]/);
    expect([one('Service', service).metadata.namespace, namespace, port]).toEqual(['pullproxy', 'pullproxy', '9080']);
    expect(subjects[0].name).toBe(one('Deployment', 'pullproxy-scaler').spec.template.spec.serviceAccountName);
    one('ServiceAccount', subjects[0].name);
  });

  test('let the scaler do no more than its commands take', () => {
    expect(one('Role', 'pullproxy-scaler').rules).toEqual([{ apiGroups: ['batch'], resources: ['jobs'], verbs: ['create', 'delete'] }]);
  });

  test('let nobody speak to anybody who is not named, and no application to Redis', () => {
    const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy');
    expect(policies.find(({ metadata }) => metadata.name === 'pullproxy-nobody')?.spec).toEqual({
      podSelector: {},
      policyTypes: ['Ingress'],
    });
    const labelsOf = (pod: Manifest): Record<string, string> => pod.spec.template.metadata?.labels ?? {};
    const isChosen = (pod: Manifest, chooser: { matchLabels?: Record<string, string> }): boolean =>
      Object.entries(chooser.matchLabels ?? {}).every(([name, value]) => labelsOf(pod)[name] === value);
    const choosing = (pod: Manifest): Manifest[] =>
      policies.filter(({ metadata, spec }) => metadata.name !== 'pullproxy-nobody' && isChosen(pod, spec.podSelector));
    for (const pod of pods) expect([pod.metadata.name, choosing(pod).length]).toEqual([pod.metadata.name, 1]);
    const namespaceOf = (pod: Manifest): string => pod.metadata.namespace ?? INSTANCES;
    const isThere = (pod: Manifest, chooser: { matchLabels: Record<string, string> } | undefined): boolean =>
      namespaceOf(pod) === (chooser?.matchLabels['kubernetes.io/metadata.name'] ?? 'pullproxy');
    /** The Pods that may reach the Pod's port by the policies of both. */
    const mayReach = (target: string, port: number): string[] =>
      pods
        .filter((from) => {
          const to = pods.find((pod) => pod.metadata.name === target) as Manifest;
          const allows = (rules: Manifest[] | undefined, side: 'from' | 'to', peer: Manifest): boolean =>
            (rules ?? []).some(
              (rule) =>
                (rule.ports ?? []).some((one: { port: number }) => one.port === port) &&
                (rule[side] === undefined ||
                  rule[side].some(
                    (one: Manifest) => one.podSelector && isChosen(peer, one.podSelector) && isThere(peer, one.namespaceSelector),
                  )),
            );
          const [mine] = choosing(from);
          const [theirs] = choosing(to);
          const out = !mine?.spec.policyTypes.includes('Egress') || allows(mine?.spec.egress, 'to', to);
          return out && allows(theirs?.spec.ingress, 'from', from);
        })
        .map(({ metadata }) => metadata.name)
        .sort();
    expect(mayReach('pullproxy-redis', 6379)).toEqual(['pullproxy-node', 'pullproxy-scaler']);
    expect(mayReach('pullproxy-node', 9080)).toEqual([instance.metadata.name, 'pullproxy-node'].sort());
    expect(mayReach('pullproxy-node', 9090)).toEqual([]);
  });

  test('give Redis a password, and leave its protected mode on', () => {
    const { args, env } = one('Deployment', 'pullproxy-redis').spec.template.spec.containers[0];
    expect(args.slice(0, 3)).toEqual(['redis-server', '--requirepass', '$(REDISCLI_AUTH)']);
    expect(args).not.toContain('--protected-mode');
    const { secretKeyRef } = env[0].valueFrom;
    for (const name of ['pullproxy-node', 'pullproxy-scaler']) {
      const all = one('Deployment', name).spec.template.spec.containers[0].env as Manifest[];
      const [password, url] = ['REDIS_PASSWORD', 'PULLPROXY_REDIS'].map((wanted) => all.findIndex((one) => one.name === wanted));
      expect(all[password ?? -1]?.valueFrom).toEqual({ secretKeyRef });
      expect([all[url ?? -1]?.value, (password ?? 0) < (url ?? 0)]).toEqual(['redis://:$(REDIS_PASSWORD)@pullproxy-redis:6379', true]);
    }
    expect(readFileSync(join(ROOT, 'deploy/README.md'), 'utf8')).toContain(`--from-literal=${secretKeyRef.key}=`);
  });

  test('start an instance as the recipe with kubectl does', () => {
    expect(instance).toEqual(parse(template));
  });
});

describe('what they run', () => {
  test('is what pullproxy understands, and leaves the time to drain', async () => {
    const pod = one('Deployment', 'pullproxy-node').spec.template.spec;
    const { argv, environment } = commandOf(pod);
    expect(argv[0]).toBe('node');
    const file = join(mkdtempSync(join(tmpdir(), 'pullproxy-manifests-')), 'node.yaml');
    writeFileSync(file, one('ConfigMap', 'pullproxy-node').data['node.yaml']);
    const mounted = argv.slice(1).map((word) => word.replace('/etc/pullproxy/node.yaml', file));
    const loaded = await loadCommand(NODE, mounted, environment);
    rmSync(dirname(file), { recursive: true });
    expect(loaded?.values).toMatchObject({
      advertise: { host: '10.1.2.3', port: 9080 },
      admin: { port: 9090 },
      redis: 'redis://:from-a-secret@pullproxy-redis:6379',
    });
    expect(loaded?.values.routesOnce).toBe(true);
    expect(loaded?.routes).toEqual(new Map([['*', { maxInstances: 4, concurrency: 2 }]]));
    const drainMs = loaded?.values.drainTimeoutMs ?? 0;
    const delayMs = loaded?.values.drainDelayMs ?? 0;
    // It fails its probe at least twice.
    expect(delayMs).toBeGreaterThan(2_000 * pod.containers[0].readinessProbe.periodSeconds);
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThanOrEqual(delayMs + drainMs + 10_000);
  });

  test('is a scaler whose startup command and template are there', async () => {
    const pod = one('Deployment', 'pullproxy-scaler').spec.template.spec;
    const { argv, environment } = commandOf(pod);
    const loaded = await loadCommand(SCALER, argv.slice(1), environment);
    expect(argv[0]).toBe('scaler');
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(loaded?.values.commandTimeoutMs ?? Infinity);
    const [program, script = '', file = ''] = loaded?.tail ?? [];
    expect([program, existsSync(join(ROOT, script))]).toEqual(['node', true]);
    const parts = [script, ...['stop-job', 'instance-job', 'scale', 'api'].map((name) => `deploy/kubernetes/${name}.mjs`)];
    for (const part of parts) {
      expect(readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8')).toContain(`COPY ${part} ${dirname(part)}/`);
      expect(readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n')).toContain(`!${part}`);
    }
    const [volume] = pod.containers[0].volumeMounts;
    const { configMap } = pod.volumes.find(({ name }: { name: string }) => name === volume.name);
    expect(file).toBe(`${volume.mountPath}/${Object.keys(one('ConfigMap', configMap.name).data)[0]}`);
  });

  test('is a linker with an application', async () => {
    const linker = commandOf(instance.spec.template.spec);
    const loaded = await loadCommand(LINKER, linker.argv.slice(1), {
      ...linker.environment,
      PULLPROXY_ROUTE: 'r',
      PULLPROXY_START_ID: 's1',
      // As start-job.mjs writes it where the route has no key.
      PULLPROXY_KEY: '',
    });
    expect([linker.argv[0], loaded?.values.concurrency, loaded?.tail[0]]).toEqual(['linker', 2, 'node']);
  });
});

/** The first container's words and environment, with what Kubernetes fills in. */
function commandOf(pod: Manifest): { argv: string[]; environment: Record<string, string> } {
  const [{ args, env }] = pod.containers as [{ args: string[]; env: { name: string; value?: string }[] }];
  const filled: Record<string, string> = { POD_NAME: 'pullproxy-node-6d4f9-x2x7z', POD_IP: '10.1.2.3', secret: 'from a Secret' };
  const environment: Record<string, string> = {};
  // Kubernetes knows what stands above.
  const expanded = (text: string): string => text.replaceAll(/\$\((\w+)\)/g, (whole, name: string) => environment[name] ?? whole);
  for (const { name, value } of env) environment[name] = value === undefined ? (filled[name] ?? 'from-a-secret') : expanded(value);
  return { argv: args.map(expanded), environment };
}
