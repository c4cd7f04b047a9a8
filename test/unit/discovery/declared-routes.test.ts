import { describe, expect, test } from '@jest/globals';
import { declaredRoutes } from '../../../src/discovery/declared-routes.ts';
import { readLabels } from '../../../src/discovery/labels.ts';

const SOURCE = 'docker@nas-1a2b3c4d';

function container(name: string, createdAt: number, labels: Record<string, string> = {}) {
  const prefixed = Object.fromEntries(Object.entries({ route: 'web', ...labels }).map(([key, value]) => [`pullproxy.${key}`, value]));
  return { said: `container ${name}`, createdAt, declared: readLabels(prefixed) };
}

describe('the routes that containers declare', () => {
  test('have as many instances as there are containers', () => {
    const { routes, problems } = declaredRoutes([container('a', 1), container('b', 2), container('c', 3, { route: 'other' })], SOURCE);
    expect([...routes]).toEqual([
      ['web', { source: SOURCE, maxInstances: 2 }],
      ['other', { source: SOURCE, maxInstances: 1 }],
    ]);
    expect(problems).toEqual([]);
  });

  test.each([
    ['1', 1],
    ['9', 2],
  ])('with the label maxInstances=%s have %i of the two', (maxInstances, most) => {
    const both = [container('a', 1, { maxInstances }), container('b', 2, { maxInstances })];
    expect(declaredRoutes(both, SOURCE).routes.get('web')).toEqual({ source: SOURCE, maxInstances: most });
  });

  test('that disagree have the settings of the newest one, and that is told', () => {
    const all = [container('old', 1, { holdTimeout: '1s' }), container('new', 2, { holdTimeout: '2s' })];
    const { routes, problems } = declaredRoutes(all, SOURCE);
    expect(routes.get('web')).toMatchObject({ holdTimeout: '2s', maxInstances: 2 });
    expect(problems).toEqual([
      {
        route: 'web',
        text: 'its containers disagree: container new says holdTimeout=2s, container old says holdTimeout=1s; the newest one, container new, counts',
      },
    ]);
  });

  test('are not about the ports of single containers', () => {
    expect(declaredRoutes([container('a', 1, { port: '80' }), container('b', 2, { port: '81' })], SOURCE).problems).toEqual([]);
  });

  test('have no larger minimum than there are containers, and that is told', () => {
    const { routes, problems } = declaredRoutes([container('a', 1, { minInstances: '3' })], SOURCE);
    expect(routes.get('web')).toMatchObject({ minInstances: 1, maxInstances: 1 });
    expect(problems).toEqual([{ route: 'web', text: 'minInstances is 3, and it has one container' }]);
  });
});
