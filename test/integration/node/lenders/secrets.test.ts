/** The secrets of linkers change while the node runs. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { ask } from '../../../support/clients.ts';
import { eventually } from '../../../support/eventually.ts';
import { CountingApp, closeAll, dialRawLinker, ROUTE, startSomeLinker, startSomeNode } from '../../../support/harness/some-nodes.ts';
import { connectClient } from '../../../support/raw-client.ts';

afterEach(closeAll);

async function nodeWith(secrets: Record<string, string[]>) {
  const some = await startSomeNode({ secrets: (route) => secrets[route] ?? [] });
  return { ...some, secrets };
}

describe('a linker', () => {
  test('serves no route that its secret does not allow', async () => {
    const { backendPort } = await nodeWith({ [ROUTE]: ['mine'], 'other.test': ['theirs'] });
    await dialRawLinker(backendPort, {}, 'mine');
    await expect(dialRawLinker(backendPort, { route: 'other.test' }, 'mine')).rejects.toThrow(/has not proved a secret/);
    await expect(dialRawLinker(backendPort, { route: 'third.test' }, 'mine')).rejects.toThrow(/has not proved a secret/);
  });

  test('whose secret is taken away gets nothing more, however often it lends slots, and ends what it serves', async () => {
    const { node, url, port, backendPort, secrets } = await nodeWith({ [ROUTE]: ['old'] });
    const { link, said, opened } = await dialRawLinker(backendPort, {}, 'old');
    link.grant(2);
    const asked = ask(url, { host: ROUTE });
    await eventually('a stream', () => opened.length === 1);
    secrets[ROUTE] = ['new'];
    node.renewed();
    await eventually('it is told', () => said.includes('go away'));
    link.grant(1);
    const late = await connectClient(port);
    late.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\n\r\n`);
    await eventually('the second is held', () => node.held === 1);
    expect(opened).toHaveLength(1);
    opened[0]?.write(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    expect((await asked).body).toBe('ok');
    await eventually('the node has read on', () => node.active === 0);
    expect([opened.length, node.held]).toEqual([1, 1]);
    late.reset();
  });

  test('with a new secret links anew, and no request notices', async () => {
    const { node, url, lines, secrets, ...rest } = await nodeWith({ [ROUTE]: ['old', 'new'] });
    const app = await CountingApp.listen();
    let secret = 'old';
    await startSomeLinker({ node, ...rest }, app, { secret: () => secret });
    let stop = false;
    const statuses = new Map<number, number>();
    const client = async (): Promise<void> => {
      while (!stop) {
        const { status } = await ask(url, { host: ROUTE, method: 'POST', body: 'x' });
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const asking = Promise.all([client(), client(), client()]);
    secret = 'new';
    secrets[ROUTE] = ['new'];
    node.renewed();
    await eventually('it is linked again', () => lines.filter(({ msg }) => msg === 'linker linked').length === 2);
    const before = statuses.get(200) ?? 0;
    await eventually('requests go on', () => (statuses.get(200) ?? 0) > before + 20);
    stop = true;
    await asking;
    expect([...statuses.keys()]).toEqual([200]);
    expect(JSON.stringify(lines)).not.toMatch(/"(old|new)"/);
  });
});
