/**
 * What starts and ends make of a Deployment: pure. How many replicas there are and which starts and ends are in that number stands in one object, and
 * changes in one step. So whoever does it a second time, another scaler or this one after a crash, changes nothing.
 */
import { type Deployment, LEFT, STARTED } from './objects.ts';

const IDS_KEPT_MAX = 200;

export interface Change {
  /** `cancel`: nothing has come of that start. `left`: that run of a Pod has ended. */
  readonly kind: 'start' | 'cancel' | 'left';
  readonly id: string;
}

export interface Limits {
  readonly min: number;
  readonly max: number;
}

export interface Counted {
  /** For the API; null: all of it was counted already. */
  readonly patch: object | null;
  /** Starts for which there is no room. */
  readonly refused: ReadonlySet<Change>;
}

/** `spare`: Pods that have left and were not taken off yet. Their places are free. */
export function count(deployment: Deployment, changes: readonly Change[], { min, max }: Limits, spare: number): Counted {
  let { replicas } = deployment;
  let started = deployment.started;
  let left = deployment.left;
  const refused = new Set<Change>();
  for (const change of changes) {
    const { kind, id } = change;
    if (kind === 'start' && !started.includes(id)) {
      if (replicas >= max + spare) {
        refused.add(change);
        continue;
      }
      replicas++;
      started = [...started, id];
    } else if (kind === 'cancel' && started.includes(id)) {
      replicas = Math.max(Math.min(replicas, min), replicas - 1);
      started = started.filter((one) => one !== id);
    } else if (kind === 'left' && !left.includes(id) && replicas > min) {
      replicas--;
      left = [...left, id];
    }
  }
  if (started === deployment.started && left === deployment.left) return { patch: null, refused };
  const annotations = { [STARTED]: textOf(started), [LEFT]: textOf(left) };
  return { patch: { metadata: { resourceVersion: deployment.version, annotations }, spec: { replicas } }, refused };
}

function textOf(ids: readonly string[]): string {
  return ids.slice(-IDS_KEPT_MAX).join(' ');
}
