/**
 * Who may stand between a linker and a node that speak TLS, with certificates of one authority for both and for the linkers of other tenants:
 * nobody.
 */
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { NodeTls } from '../../../../src/link/connect.ts';
import { dial, resolveAddresses } from '../../../../src/linker/dial.ts';
import { type Authority, makeAuthority } from '../../../support/certificate.ts';
import { eventually } from '../../../support/eventually.ts';
import { closeAll, ROUTE, SECRET, type SomeNode, startSomeNode } from '../../../support/harness/some-nodes.ts';

type Pair = ReturnType<Authority['issue']>;

let authority: Authority;
let node: Pair;
let ours: Pair;
let theirs: Pair;
const closers: (() => void)[] = [];

beforeAll(() => {
  authority = makeAuthority();
  node = authority.issue('node', { usage: 'serverAuth,clientAuth', names: 'DNS:nodes.test' });
  ours = authority.issue('our linker', { usage: 'clientAuth' });
  theirs = authority.issue('their linker');
});

afterAll(() => authority.remove());

afterEach(async () => {
  for (const close of closers.splice(0)) close();
  await closeAll();
});

function start(over: Partial<Pair> = {}): Promise<SomeNode> {
  return startSomeNode({ backendTls: { ...node, ca: authority.cert, ...over } });
}

/** What came of a link: the node's id, or why there is none. */
async function link(port: number, tls: Partial<NodeTls> = {}, host = '127.0.0.1'): Promise<string> {
  const signal = AbortSignal.timeout(5_000);
  const [target] = await resolveAddresses({ host, port }, signal, async () => [{ address: '127.0.0.1' }]);
  if (target === undefined) throw new Error('no target');
  const hello = { route: ROUTE, instance: 'i1', seq: 1, concurrency: 1 };
  const settings = { hello, secret: SECRET, tls: { ca: authority.cert, ...ours, ...tls } };
  const outcome = await dial(target, settings, signal, (up, id) => {
    closers.push(() => up.close('for the test'));
    return id;
  }).catch((error: Error) => error.message);
  return outcome;
}

/** Ends TLS with `certificate`, and passes everything on to the node in a TLS connection of its own. */
async function between({ backendPort }: SomeNode, certificate: Pair): Promise<number> {
  const sockets: Socket[] = [];
  const server = createTlsServer({ ...certificate, ca: authority.cert, requestCert: true }, (near) => {
    const far = connectTls({ port: backendPort, host: '127.0.0.1', ...theirs, rejectUnauthorized: false });
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) sockets.push(socket.on('error', () => {}));
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  server.on('tlsClientError', () => {}).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

describe('a node is taken for one', () => {
  test('by its certificate for servers, where it is dialled by its IP address', async () => {
    expect(await link((await start()).backendPort)).toBe('n1');
  });

  test('by the name that all nodes have, whatever it is dialled by', async () => {
    const { backendPort } = await start();
    expect([await link(backendPort, { name: 'nodes.test' }), await link(backendPort, { name: 'nodes.test' }, 'lb.test')]).toEqual([
      'n1',
      'n1',
    ]);
  });

  test('by the name that is dialled', async () => {
    const { backendPort } = await start();
    expect(await link(backendPort, {}, 'nodes.test')).toBe('n1');
    expect(await link(backendPort, {}, 'other.test')).toMatch(/does not match certificate/);
  });

  test('by its IP address in the certificate', async () => {
    const { backendPort } = await start(authority.issue('node', { names: 'IP:127.0.0.1' }));
    expect(await link(backendPort)).toBe('n1');
  });

  test('because the linker was given its very certificate', async () => {
    const { backendPort } = await start(theirs);
    expect(await link(backendPort, { ca: Buffer.concat([authority.cert, theirs.cert]) })).toBe('n1');
  });
});

describe("another tenant's linker certificate", () => {
  test.each([
    ['for nothing in particular', () => theirs, {}, /is not a node's/],
    ['for clients', () => authority.issue('theirs', { usage: 'clientAuth' }), {}, /purpose/],
    ['where nodes have a name', () => theirs, { name: 'nodes.test' }, /does not match certificate/],
  ] as const)('is not taken for a node: %s', async (_what, certificate, tls, reason) => {
    const one = await start();
    expect(await link(await between(one, certificate()), tls)).toMatch(reason);
    expect(one.node.routes.get(ROUTE)).toBeUndefined();
  });
});

test('whoever passes a handshake on between two TLS channels, even with the certificate of a node, gets no link', async () => {
  const one = await start();
  const port = await between(one, node);
  expect(await link(port)).toBe('refused by the peer: the linker has not proved a secret that counts for its route here');
  await eventually('the node says so', () => one.lines.some(({ msg }) => msg === 'linker refused'));
  expect(one.node.routes.get(ROUTE)).toBeUndefined();
});
