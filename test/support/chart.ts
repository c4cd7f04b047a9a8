/** Files that are written from the Helm chart in deploy/kubernetes/chart, which is the one source of the manifests, the components and the recipe's template. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import type { Manifest } from './kubernetes-manifests.ts';
import type { KubernetesTools } from './kubernetes-tools.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const CHART = join(ROOT, 'deploy/kubernetes/chart');
const PLAIN = ['--set', 'plain=true'];
const WRITTEN = '# Written from ../chart: npm run manifests.\n';
/** As one reads them; Helm prints them as it would install them. */
const KINDS = [
  'Namespace',
  'ConfigMap',
  'PersistentVolumeClaim',
  'Deployment',
  'PodDisruptionBudget',
  'Service',
  'ServiceAccount',
  'Role',
  'RoleBinding',
];

export interface Document {
  readonly template: string;
  readonly text: string;
  readonly manifest: Manifest;
}

/** `helm template`, one document after the other. */
export function renderChart({ helm }: KubernetesTools, args: readonly string[] = []): Document[] {
  const argv = ['template', 'pullproxy', CHART, '--namespace', 'pullproxy', ...args];
  const rendered = execFileSync(helm, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  return rendered
    .split(/^---\n/m)
    .filter((text) => text.trim() !== '')
    .map((whole) => {
      const [, template = '', text = ''] = /^# Source: pullproxy\/templates\/(\S+)\n(.*)$/s.exec(whole) ?? [];
      return { template, text: `${text.replaceAll(/ +$/gm, '').trimEnd()}\n`, manifest: parse(text) as Manifest };
    });
}

/** Path in the repository → content. */
export function writtenFiles(tools: KubernetesTools): ReadonlyMap<string, string> {
  const rules = 'deploy/kubernetes/chart/files/pullproxy.rules.yaml';
  const plain = renderChart(tools, PLAIN);
  const files = new Map<string, string>();
  for (const template of new Set(plain.map((one) => one.template))) {
    const documents = plain.filter((one) => one.template === template);
    documents.sort((a, b) => KINDS.indexOf(a.manifest.kind) - KINDS.indexOf(b.manifest.kind));
    files.set(`deploy/kubernetes/manifests/${template}`, textOf(documents));
  }
  const component = (flag: string, template: string): string =>
    textOf(renderChart(tools, [...PLAIN, '--set', `${flag}=true`]).filter((one) => one.template === template));
  files.set('deploy/kubernetes/components/monitoring/monitoring.yaml', component('monitoring.enabled', 'monitoring.yaml'));
  files.set('deploy/kubernetes/components/autoscaling/autoscaler.yaml', component('nodes.autoscaling.enabled', 'autoscaler.yaml'));
  const instance = plain.find(({ template }) => template === 'instance.yaml')?.manifest.data['instance.yaml'] as string;
  files.set(
    'deploy/recipes/kubernetes/instance.yaml',
    `# What start.sh applies for each instance; texts may have __START_ID__, __ROUTE__, __KEY__ and __SLUG__ in them. Name your image, command and proxies here.\n${instance}`,
  );
  files.set(rules, readFileSync(join(ROOT, 'deploy/prometheus/pullproxy.rules.yaml'), 'utf8'));
  return files;
}

function textOf(documents: readonly Document[]): string {
  return WRITTEN + documents.map(({ text }) => text).join('---\n');
}
