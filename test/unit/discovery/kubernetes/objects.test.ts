import { describe, expect, test } from '@jest/globals';
import { readDeployment, readPod } from '../../../../src/discovery/kubernetes/objects.ts';

const at = (second: number): string => new Date(1_800_000_000_000 + second * 1_000).toISOString();

interface Said {
  readonly phase?: string;
  readonly ready?: string;
  readonly containersReady?: string | undefined;
  readonly changed?: number;
  readonly started?: number;
  readonly restartCount?: number;
  readonly owner?: string;
  readonly deletionTimestamp?: string;
}

function pod(said: Said) {
  const {
    phase = 'Running',
    ready = 'False',
    containersReady = ready,
    changed = 60,
    started = 1,
    restartCount = 0,
    owner = 'app-7f9c',
  } = said;
  const lastTransitionTime = at(changed);
  return {
    metadata: {
      ...{ name: 'p', uid: 'u-1', resourceVersion: '1', creationTimestamp: at(0), deletionTimestamp: said.deletionTimestamp },
      ownerReferences: [{ kind: 'ReplicaSet', name: owner }],
    },
    status: {
      phase,
      conditions: [
        { type: 'Ready', status: ready, lastTransitionTime },
        { type: 'ContainersReady', status: containersReady, lastTransitionTime },
      ],
      containerStatuses: [{ restartCount, state: { running: { startedAt: at(started) } } }],
    },
  };
}

describe('a Pod', () => {
  test.each<[string, Said, boolean]>([
    ['was ready and is not any more', {}, true],
    ['is ready', { ready: 'True' }, false],
    ['starts', { changed: 0 }, false],
    ['waits for a machine', { phase: 'Pending' }, false],
    ['was started again a moment ago', { started: 61 }, false],
    ['is on a machine that does not answer its controller', { containersReady: 'True' }, false],
  ])('%s', (_, said, hasLeft) => {
    expect(readPod(pod(said), 'app')?.hasLeft).toBe(hasLeft);
  });

  test('has another run after its containers were started again', () => {
    expect([0, 2].map((restartCount) => readPod(pod({ restartCount }), 'app')?.run)).toEqual(['u-1.0', 'u-1.2']);
  });

  test.each<[string, unknown]>([
    ['of another Deployment', pod({ owner: 'other-7f9c' })],
    ['that is being deleted', pod({ deletionTimestamp: at(1) })],
    ['without anything', {}],
    ['that is text', 'pod'],
    ['with a name that is no name', { ...pod({}), metadata: { ...pod({}).metadata, name: '../secrets' } }],
  ])('%s is none of it', (_, object) => {
    expect(readPod(object, 'app')).toBeNull();
  });
});

describe('a Deployment', () => {
  const metadata = { name: 'app', resourceVersion: '7', annotations: { 'pullproxy/route': 'a', 'pullproxy/started': 'x y <script>' } };

  test('says its replicas, its selector and what is counted', () => {
    const selector = {
      matchLabels: { app: 'web' },
      matchExpressions: [
        { key: 'tier', operator: 'In', values: ['a', 'b'] },
        { key: 'old', operator: 'DoesNotExist' },
      ],
    };
    expect(readDeployment({ metadata, spec: { replicas: 3, selector }, status: { readyReplicas: 2 } })).toMatchObject({
      ...{ name: 'app', version: '7', settings: { route: 'a' }, started: ['x', 'y'], left: [], replicas: 3, ready: 2 },
      selector: 'app=web,tier in (a,b),!old',
    });
  });

  test.each([null, [], 1, 'x', {}, { metadata: { name: 'A B', resourceVersion: '1' } }, { metadata: { name: 'a', resourceVersion: 1 } }])(
    'is not %j',
    (object) => {
      expect(readDeployment(object)).toBeNull();
    },
  );

  test('has one replica where none is said, and no more than can be', () => {
    const replicasOf = (replicas: unknown) => readDeployment({ metadata, spec: { replicas } })?.replicas;
    expect([undefined, -1, 1.5, '3', 1e12, 0].map(replicasOf)).toEqual([1, 1, 1, 1, 1, 0]);
  });
});
