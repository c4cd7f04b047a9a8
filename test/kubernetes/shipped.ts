/** The manifests as they are committed, applied as the README says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ControlPlane, Ran } from './control-plane.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'deploy/kubernetes/manifests');
const ALL = ['0-namespaces', 'instance', 'network', 'nodes', 'redis', 'scaler'];

/** With this image; an older server gets the older version of the disruption budgets. */
export async function applyShipped(plane: ControlPlane, image: string): Promise<Ran> {
  const { body } = await plane.ask('GET', '/version');
  // The server has what the manifests name from 1.21 on.
  const policy = Number(body.minor.replace(/\D/g, '')) < 21 ? 'v1beta1' : 'v1';
  const texts = ALL.map((name) => readFileSync(join(FOLDER, `${name}.yaml`), 'utf8').replaceAll(/image: pullproxy$/gm, `image: ${image}`));
  const all = texts.join('---\n').replaceAll('apiVersion: policy/v1\n', `apiVersion: policy/${policy}\n`);
  return plane.run('sh', ['-c', 'printf %s "$MANIFESTS" | "$0" apply --filename -', plane.tools.kubectl], { MANIFESTS: all });
}
