/** The Helm chart is the one source: what is committed beside it, the kustomization with its components, and what values change. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { CHART, renderChart, writtenFiles } from '../../support/chart.ts';
import { faultsOf, type Manifest } from '../../support/kubernetes-manifests.ts';
import { kubernetesToolsIfAny } from '../../support/kubernetes-tools.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const tools = kubernetesToolsIfAny();
const describeWithTools = tools === null ? describe.skip : describe;

describeWithTools('the chart', () => {
  const { kubectl, helm } = tools ?? { kubectl: '', helm: '' };
  const render = (...values: string[]): Manifest[] =>
    renderChart(
      { helm, kubectl },
      values.flatMap((value) => ['--set', value]),
    ).map(({ manifest }) => manifest);
  const idsOf = (manifests: readonly Manifest[]): string[] =>
    manifests.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`).sort();
  const only = (manifests: readonly Manifest[], kind: string, name: string): Manifest => {
    const found = manifests.filter((one) => one.kind === kind && one.metadata.name === name);
    expect([kind, name, found.length]).toEqual([kind, name, 1]);
    return found[0] as Manifest;
  };

  test('has no fault that Helm knows', () => {
    expect(spawnSync(helm, ['lint', '--strict', CHART], { encoding: 'utf8' })).toMatchObject({ status: 0 });
  });

  test('gives the manifests, the components and the template of the recipe as they are committed (else: npm run manifests)', () => {
    const files = writtenFiles({ helm, kubectl });
    expect(files.size).toBeGreaterThan(8);
    for (const [path, content] of files) expect([path, readFileSync(join(ROOT, path), 'utf8')]).toEqual([path, content]);
  });

  test('and the kustomization have the same objects', () => {
    const plain = render('plain=true');
    const kustomized = kustomize(join(ROOT, 'deploy/kubernetes'));
    expect(idsOf(kustomized)).toEqual(idsOf(plain));
    for (const one of kustomized) expect(one).toEqual(plain.find((other) => idsOf([other])[0] === idsOf([one])[0]));
  });

  test('and the components have the same objects: monitoring, and an autoscaler that alone says how many nodes there are', () => {
    const folder = mkdtempSync(join(tmpdir(), 'pullproxy-kustomize-'));
    const base = relative(folder, join(ROOT, 'deploy/kubernetes'));
    const components = ['monitoring', 'autoscaling'].map((name) => `${base}/components/${name}`);
    writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify({ resources: [base], components }));
    const kustomized = kustomize(folder);
    rmSync(folder, { recursive: true });
    const plain = render('plain=true', 'monitoring.enabled=true', 'nodes.autoscaling.enabled=true');
    expect(idsOf(kustomized)).toEqual(idsOf(plain));
    for (const all of [kustomized, plain]) {
      expect(only(all, 'Deployment', 'pullproxy-node').spec.replicas).toBeUndefined();
      const scaler = only(all, 'HorizontalPodAutoscaler', 'pullproxy-node');
      expect(scaler.spec.scaleTargetRef).toEqual({ kind: 'Deployment', name: 'pullproxy-node', apiVersion: 'apps/v1' });
    }
  });

  test('has the alerts of Prometheus, and names the ports at which nodes and scalers tell their metrics', () => {
    const all = render('monitoring.enabled=true', 'monitoring.labels.release=mine');
    const rule = only(all, 'PrometheusRule', 'pullproxy');
    expect(rule.spec).toEqual(parse(readFileSync(join(ROOT, 'deploy/prometheus/pullproxy.rules.yaml'), 'utf8')));
    const monitor = only(all, 'ServiceMonitor', 'pullproxy');
    for (const one of [rule, monitor]) expect(one.metadata.labels).toMatchObject({ release: 'mine' });
    const [{ port }] = monitor.spec.endpoints;
    const chosen = Object.entries(monitor.spec.selector.matchLabels as Record<string, string>);
    const services = all
      .filter(
        ({ kind, metadata }) =>
          kind === 'Service' && chosen.every(([name, value]) => (metadata.labels as Record<string, string>)[name] === value),
      )
      .filter(({ spec }) => spec.ports.some(({ name }: { name: string }) => name === port))
      .map(({ metadata }) => metadata.name);
    expect(services).toEqual(['pullproxy-nodes', 'pullproxy-scaler']);
  });

  test('makes both Secrets, with one secret for linkers, or takes one that is there', () => {
    const secrets = render().filter(({ kind }) => kind === 'Secret');
    expect(secrets.map(({ metadata, data }) => [metadata.namespace, Object.keys(data).sort()])).toEqual([
      ['pullproxy', ['admin-token', 'redis-password', 'secret']],
      ['pullproxy-instances', ['secret']],
    ]);
    const [all, linkers] = secrets.map(({ data }) => data);
    expect(linkers.secret).toBe(all.secret);
    expect(new Set(Object.values(all)).size).toBe(3);
    const taken = render('existingSecret=mine');
    expect(taken.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    const names = taken.flatMap(({ kind, spec }) =>
      kind === 'Deployment'
        ? spec.template.spec.containers[0].env.flatMap(({ valueFrom }: Manifest) => valueFrom?.secretKeyRef?.name ?? [])
        : [],
    );
    expect([names.length, new Set(names)]).toEqual([6, new Set(['mine'])]);
    expect(only(taken, 'ConfigMap', 'pullproxy-instance').data['instance.yaml']).toMatch(/secretKeyRef:\s+name: mine$/m);
  });

  test('names another Redis, and says so when none is named', () => {
    const all = render('redis.enabled=false', 'redis.url=redis://:$(REDIS_PASSWORD)@elsewhere:6380', 'redis.port=6380');
    expect(all.filter(({ metadata }) => metadata.name.includes('redis'))).toEqual([]);
    for (const name of ['pullproxy-node', 'pullproxy-scaler']) {
      expect(only(all, 'Deployment', name).spec.template.spec.containers[0].env).toContainEqual({
        name: 'PULLPROXY_REDIS',
        value: 'redis://:$(REDIS_PASSWORD)@elsewhere:6380',
      });
      expect(only(all, 'NetworkPolicy', name).spec.egress).toContainEqual({ ports: [{ port: 6380 }] });
    }
    expect(() => render('redis.enabled=false')).toThrow(/redis\.url: with redis\.enabled=false, name a Redis/);
  });

  test('puts instances into a namespace of yours, or into its own', () => {
    const all = render('instances.namespace=tenants', 'instances.image=shop:7', 'instances.command={node,shop.mjs}');
    expect(only(all, 'Role', 'pullproxy-scaler').metadata.namespace).toBe('tenants');
    const job = parse(only(all, 'ConfigMap', 'pullproxy-instance').data['instance.yaml']) as Manifest;
    expect(job.spec.template.spec.containers[0]).toMatchObject({ image: 'shop:7', args: ['linker', '--', 'node', 'shop.mjs'] });
    const together = render('instances.namespace=pullproxy');
    expect(together.filter(({ kind, metadata }) => kind === 'Namespace' || metadata.namespace !== 'pullproxy')).toEqual([]);
    expect(new Set(idsOf(together)).size).toBe(together.length);
  });

  test('lets the scaler take routes from Deployments where that is turned on, and not else', () => {
    const [off, on] = [render(), render('scaler.discover=true')];
    const argsOf = (all: readonly Manifest[]): string[] =>
      only(all, 'Deployment', 'pullproxy-scaler').spec.template.spec.containers[0].args;
    const rightsOf = (all: readonly Manifest[]): string[] =>
      (only(all, 'Role', 'pullproxy-scaler').rules as { resources: string[]; verbs: string[] }[]).map(
        ({ resources, verbs }) => `${resources} ${verbs}`,
      );
    expect(argsOf(on).filter((word) => !argsOf(off).includes(word))).toEqual([
      '--discover=kubernetes',
      '--discover-namespace=pullproxy-instances',
    ]);
    expect(rightsOf(off)).toEqual(['jobs create,delete']);
    expect(rightsOf(on).slice(1)).toEqual(['deployments get,list,watch,patch', 'pods list,patch', 'namespaces get']);
  });

  test('gives objects as the API expects them, whatever is turned on', async () => {
    const all = render(
      'nodes.autoscaling.enabled=true',
      'scaler.discover=true',
      'imagePullSecrets[0].name=mine',
      'instances.env[0].name=A',
      'instances.env[0].value=b',
    );
    const jobs = all
      .filter(({ metadata }) => metadata.name === 'pullproxy-instance')
      .flatMap(({ data }) => (data ? [parse(data['instance.yaml'])] : []));
    expect(jobs.length).toBe(1);
    for (const manifest of [...all, ...jobs] as Manifest[]) expect([manifest.kind, await faultsOf(manifest)]).toEqual([manifest.kind, []]);
  });

  test('replaces nodes when their configuration file changes, and not with another image of instances', () => {
    const words = (...values: string[]): unknown =>
      only(render(...values), 'Deployment', 'pullproxy-node').spec.template.metadata.annotations;
    expect(words('instances.image=other')).toEqual(words());
    expect(words('nodes.config.hold-timeout=5s')).not.toEqual(words());
  });

  function kustomize(folder: string): Manifest[] {
    const text = execFileSync(kubectl, ['kustomize', folder], { encoding: 'utf8' });
    return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
  }
});
