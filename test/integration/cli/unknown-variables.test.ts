import { expect, test } from '@jest/globals';
import { startProcess } from '../../support/processes.ts';

const PORTS = ['--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
const MESSAGE = 'environment variables belong to no setting';

test('a variable that belongs to no setting is named at the start, in the log and on the page', async () => {
  const env = { PULLPROXY_HOLD_TIMOUT: '1s', PULLPROXY_SECRET: 'a secret that counts', PULLPROXY_INSTANCE: 'abc' };
  const node = await startProcess(['node', ...PORTS], { env });
  const line = await node.logged(({ msg }) => msg === MESSAGE);
  expect(line).toMatchObject({ level: 40, variables: 'PULLPROXY_HOLD_TIMOUT', count: 1 });
  const timeline = await (await fetch(`http://${String(node.ready.admin)}/api/v1/timeline`)).text();
  expect(timeline).toContain('PULLPROXY_HOLD_TIMOUT');
  await node.stop();
});

test('variables of other commands are no mistake', async () => {
  const env = { PULLPROXY_IDLE_TIMEOUT: '60s', PULLPROXY_PROXY: '127.0.0.1:1', PULLPROXY_RATE: '1/1s' };
  const node = await startProcess(['node', ...PORTS], { env });
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  await node.stop();
  expect(node.logs.filter(({ msg }) => msg === MESSAGE)).toEqual([]);
});
