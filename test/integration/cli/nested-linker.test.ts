/** A linker inside the application of another one: what that one tells its application is no setting of the linker. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ask } from '../../support/clients.ts';
import { type ClusterNode, startLinker, startNode } from '../../support/cluster.ts';
import { ownDirectory, type Running } from '../../support/processes.ts';

const APP = `require('node:http').createServer((_, response) => response.end(process.env.PULLPROXY_CONTROL)).listen(process.env.PORT, '127.0.0.1')`;

function linkerOf(node: ClusterNode, route: string, env: Readonly<Record<string, string>>): Promise<Running> {
  return startLinker({ proxies: [node.backend], route, concurrency: 1, app: [process.execPath, '-e', APP] }, env);
}

test('it takes no control socket from its environment, and others do', async () => {
  const path = join(ownDirectory(), 'control');
  const node = await startNode(null);
  const outer = await linkerOf(node, 'outer.example.com', { PULLPROXY_CONTROL: path });
  expect(await ask(node.url, { host: 'outer.example.com' })).toMatchObject({ status: 200, body: path });
  expect(existsSync(path)).toBe(true);

  const inner = await linkerOf(node, 'inner.example.com', { PULLPROXY_CONTROL: path, PULLPROXY_INSTANCE: 'outer' });
  const { status, body } = await ask(node.url, { host: 'inner.example.com' });
  expect(status).toBe(200);
  expect(body).not.toBe(path);
  expect(existsSync(body)).toBe(true);
  await Promise.all([inner.stop(), outer.stop()]);
  expect(existsSync(body)).toBe(false);
  await node.stop();
});
