/** `npm run manifests`: writes what comes from the Helm chart anew. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writtenFiles } from './chart.ts';
import { kubernetesTools } from './kubernetes-tools.ts';

const tools = kubernetesTools();
// The rules of Prometheus are a file of the chart: what is rendered may have them only when they are written.
for (const _round of ['rules', 'rendered']) {
  for (const [path, content] of writtenFiles(tools)) {
    const file = fileURLToPath(new URL(`../../${path}`, import.meta.url));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}
