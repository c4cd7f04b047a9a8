import { describe, expect, test } from '@jest/globals';
import { declarationsOf } from '../../../../src/discovery/kubernetes/declared.ts';
import { readDeployment } from '../../../../src/discovery/kubernetes/objects.ts';

const SOURCE = 'kubernetes@web-1a2b3c4d';

function deployment(name: string, annotations: Record<string, unknown>, second = 0) {
  const creationTimestamp = new Date(1_800_000_000_000 + second * 1_000).toISOString();
  const read = readDeployment({ metadata: { name, resourceVersion: '1', creationTimestamp, annotations }, spec: {} });
  if (read === null) throw new Error(`${name} can not be read`);
  return read;
}

const declared = (annotations: Record<string, unknown>) => declarationsOf([deployment('app', annotations)], SOURCE);

describe('annotations of Deployments', () => {
  test('declare routes with their settings, and what is written beside them for the count means nothing', () => {
    const { routes, places, problems } = declared({
      'pullproxy/route': 'Web.Example.com',
      'pullproxy/maxInstances': '3',
      'pullproxy/hold-timeout': '1m',
      'pullproxy/concurrency': '4',
      'pullproxy/startTimeout': '3m',
      'pullproxy/started': 'a b',
      'pullproxy/left': 'c',
      'deployment.kubernetes.io/revision': '1',
    });
    const settings = { maxInstances: '3', holdTimeout: '1m', concurrency: '4', startTimeout: '3m', source: SOURCE };
    expect([...routes]).toEqual([['web.example.com', settings]]);
    expect(places.get('web.example.com')?.name).toBe('app');
    expect(problems).toEqual([]);
  });

  test.each([
    ['pullproxy/route', 'not a host', /^Deployment app: pullproxy\/route "not a host": expected /],
    ['pullproxy/holdTimeout', 'soon', /^Deployment app: pullproxy\/holdTimeout "soon": expected /],
    ['pullproxy/unknown', '1', /^Deployment app: pullproxy\/unknown "1": expected one of the labels /],
    ['pullproxy/command', '["x"]', /^Deployment app: pullproxy\/command /],
    ['pullproxy/source', 'docker@a-1', /^Deployment app: pullproxy\/source /],
    ['pullproxy/key', 'host', /^Deployment app: pullproxy\/key /],
    ['pullproxy/minInstances', '11', /^Deployment app: pullproxy\/minInstances 11: expected at most maxInstances/],
    ['pullproxy/idleTimeout', '1m', /^Deployment app: pullproxy\/idleTimeout: expected none: the linker in the Pod/],
    ['pullproxy/title', 'x'.repeat(20_000), /at most 16384 characters in all/],
  ])('are refused with the name of the Deployment and of the annotation: %s', (name, value, text) => {
    const { routes, problems } = declared({ 'pullproxy/route': 'a', [name]: value });
    expect([...routes]).toEqual([]);
    expect(problems).toEqual([{ route: null, text: expect.stringMatching(text) }]);
  });

  test('of one Deployment do not hurt others, and the oldest of two for one route counts', () => {
    const { routes, places, problems } = declarationsOf(
      [
        deployment('copy', { 'pullproxy/route': 'a', 'pullproxy/maxInstances': '9' }, 2),
        deployment('bad', { 'pullproxy/route': 'b', 'pullproxy/maxHeld': '-1' }, 1),
        deployment('first', { 'pullproxy/route': 'a' }, 1),
        deployment('other', { 'pullproxy/route': 'c' }, 3),
      ],
      SOURCE,
    );
    expect([...routes.keys()].sort()).toEqual(['a', 'c']);
    expect(places.get('a')?.name).toBe('first');
    expect(problems.map(({ text }) => text)).toEqual([
      expect.stringMatching(/^Deployment bad: pullproxy\/maxHeld/),
      'Deployment copy: Deployment first, which is older, has declared the route already',
    ]);
  });
});
