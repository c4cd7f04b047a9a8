import { describe, expect, test } from '@jest/globals';
import { type Change, count } from '../../../../src/discovery/kubernetes/counting.ts';
import { readDeployment } from '../../../../src/discovery/kubernetes/objects.ts';

interface Given {
  readonly replicas: number;
  readonly started?: string;
  readonly left?: string;
  readonly min?: number;
  readonly max?: number;
  readonly spare?: number;
}

function counted({ replicas, started = '', left = '', min = 0, max = 3, spare = 0 }: Given, ...changes: string[]) {
  const annotations = { 'pullproxy/started': started, 'pullproxy/left': left };
  const deployment = readDeployment({ metadata: { name: 'app', resourceVersion: '7', annotations }, spec: { replicas } });
  if (deployment === null) throw new Error('it can not be read');
  const all = changes.map((one) => {
    const [kind, id = ''] = one.split(' ');
    return { kind, id } as Change;
  });
  const { patch, refused } = count(deployment, all, { min, max }, spare);
  const said = patch as { metadata: { resourceVersion: string; annotations: Record<string, string> }; spec: { replicas: number } } | null;
  return {
    replicas: said?.spec.replicas ?? null,
    started: said?.metadata.annotations['pullproxy/started'],
    left: said?.metadata.annotations['pullproxy/left'],
    refused: [...refused].map(({ id }) => id),
  };
}

const NOTHING = { replicas: null, refused: [] };

describe('the replicas of a Deployment', () => {
  test('are one more for each start, once', () => {
    expect(counted({ replicas: 0 }, 'start a', 'start b', 'start a')).toEqual({ replicas: 2, started: 'a b', left: '', refused: [] });
    expect(counted({ replicas: 2, started: 'a b' }, 'start b', 'start a')).toMatchObject(NOTHING);
  });

  test('are never more than the route may have, beside Pods that have left', () => {
    expect(counted({ replicas: 2 }, 'start a', 'start b')).toMatchObject({ replicas: 3, started: 'a', refused: ['b'] });
    expect(counted({ replicas: 3, spare: 1 }, 'start a', 'start b')).toMatchObject({ replicas: 4, started: 'a', refused: ['b'] });
    expect(counted({ replicas: 5 }, 'start a')).toMatchObject({ replicas: null, refused: ['a'] });
  });

  test('are one less for a start that came to nothing, if it was counted', () => {
    expect(counted({ replicas: 2, started: 'a b' }, 'cancel a', 'cancel a', 'cancel c')).toMatchObject({ replicas: 1, started: 'b' });
    expect(counted({ replicas: 2, started: 'a', min: 2 }, 'cancel a')).toMatchObject({ replicas: 2, started: '' });
    expect(counted({ replicas: 1, started: 'a', min: 2 }, 'cancel a')).toMatchObject({ replicas: 1, started: '' });
    expect(counted({ replicas: 0, started: 'a' }, 'cancel a')).toMatchObject({ replicas: 0, started: '' });
  });

  test('are one less for a Pod that has left, once, and never fewer than the route must have', () => {
    expect(counted({ replicas: 2 }, 'left p.0', 'left p.0')).toMatchObject({ replicas: 1, left: 'p.0' });
    expect(counted({ replicas: 1, left: 'p.0' }, 'left p.0')).toMatchObject(NOTHING);
    expect(counted({ replicas: 2, min: 2 }, 'left p.0')).toMatchObject(NOTHING);
    expect(counted({ replicas: 0 }, 'left p.0')).toMatchObject(NOTHING);
  });

  test('keep the last 200 ids of each kind', () => {
    const ids = Array.from({ length: 250 }, (_, at) => `s${at}`);
    const { started = '' } = counted({ replicas: 0, max: 1_000 }, ...ids.map((id) => `start ${id}`));
    expect(started.split(' ')).toEqual(ids.slice(50));
  });
});
