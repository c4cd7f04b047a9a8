import { afterEach, describe, expect, test } from '@jest/globals';
import { FEATURES, Frame } from '../../../src/link/frames.ts';
import type { Hello } from '../../../src/link/handshake.ts';
import { sharedFeatures } from '../../../src/link/hello.ts';
import { newNonce, prove } from '../../../src/link/proof.ts';
import { HELLO, linkPair, SECRET, shakeAsLinker } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, frameBytes, RawPeer, type SocketPair, socketPair, until } from '../../support/harness/link-wire.ts';
import { accept, both, dial } from '../../support/harness/outcome.ts';

const NOT_PROVED = 'the linker has not proved a secret that counts for its route here';
const NOT_PROVED_HERE = `${NOT_PROVED}: app.example.com`;

afterEach(destroySockets);

/** Two connections whose bytes a man in the middle passes on: the linker's end, and the node's. */
async function relayed(): Promise<SocketPair> {
  const [near, far] = [await socketPair(), await socketPair()];
  near.accepted.pipe(far.dialled).pipe(near.accepted);
  return { dialled: near.dialled, accepted: far.accepted };
}

describe('a handshake', () => {
  test('links both sides and tells each who the other is', async () => {
    const hello: Hello = { ...HELLO, startId: 's1', version: '0.1.0-rc.1+x', relay: true };
    expect(await both({}, { hello })).toEqual({ node: `ready ${JSON.stringify(hello)}`, linker: 'ready n1' });
  });

  test('accepts each of the secrets that a route has while they are rotated, for eight of them', async () => {
    const secrets = Array.from({ length: 9 }, (_, at) => `secret ${at}`);
    for (const secret of secrets.slice(0, 8)) {
      expect(await both({ secrets: () => secrets }, { secret })).toMatchObject({ linker: 'ready n1' });
    }
    expect(await both({ secrets: () => secrets }, { secret: 'secret 8' })).toMatchObject({ node: NOT_PROVED_HERE });
  });

  test('asks for the secrets of the route that the linker names', async () => {
    const secrets = (route: string): readonly string[] => (route === 'b.example.com' ? ['of b'] : ['of others']);
    const hello = { ...HELLO, route: 'b.example.com' };
    expect((await both({ secrets }, { hello, secret: 'of b' })).linker).toBe('ready n1');
    expect((await both({ secrets }, { hello, secret: 'of others' })).linker).toBe(`refused by the peer: ${NOT_PROVED}`);
  });

  test('fails with the same words for a wrong secret and for a route that has none', async () => {
    const refused = { node: NOT_PROVED_HERE, linker: `refused by the peer: ${NOT_PROVED}` };
    expect(await both({}, { secret: 'another' })).toEqual(refused);
    expect(await both({ secrets: () => [] }, {})).toEqual(refused);
  });

  test('says nothing that depends on a secret to a stranger, who gets the same bytes whether the route has one', async () => {
    const heard = [];
    for (const secrets of [[SECRET], [], Array.from({ length: 8 }, (_, at) => `secret ${at}`)]) {
      const sockets = await socketPair();
      accept(sockets, { secrets: () => secrets });
      const peer = new RawPeer(sockets.dialled);
      peer.sendJson(Frame.HELLO, { v: 2, ...HELLO, nonce: newNonce() });
      const challenge = await peer.takeJson(Frame.CHALLENGE);
      peer.sendJson(Frame.PROOF, { proof: 'x'.repeat(43) });
      const refusal = await peer.takeJson(Frame.REFUSE);
      heard.push({ keys: Object.keys(challenge), v: challenge.v, node: challenge.node, refusal });
    }
    const one = { keys: ['v', 'can', 'node', 'nonce'], v: 2, node: 'n1', refusal: { reason: NOT_PROVED } };
    expect(heard).toEqual([one, one, one]);
  });

  test.each([
    ['a guess', 'x'.repeat(43)],
    ['nothing', undefined],
    ['no text', 17],
    ['an empty text', ''],
    ['a long text', 'x'.repeat(4_000)],
    ['a list', [SECRET]],
  ])('is refused to a linker whose proof is %s', async (_what, proof) => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    peer.sendJson(Frame.HELLO, { v: 2, ...HELLO, nonce: newNonce() });
    await peer.take(Frame.CHALLENGE);
    peer.sendJson(Frame.PROOF, { proof });
    expect(await node.reason()).toBe(NOT_PROVED_HERE);
  });

  test.each([['x'.repeat(43)], [undefined], [17], [[SECRET]]])('is refused to a node whose proof is %j', async (proof) => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    const peer = new RawPeer(sockets.accepted);
    await peer.take(Frame.HELLO);
    peer.sendJson(Frame.CHALLENGE, { v: 2, node: 'n1', nonce: newNonce() });
    await peer.take(Frame.PROOF);
    peer.sendJson(Frame.WELCOME, { proof });
    expect(await linker.reason()).toBe('the node does not know the secret');
  });

  test('gives up when it is not complete in time, on either side', async () => {
    const silentLinker = accept(await socketPair(), { timeoutMs: 40 });
    const silentNode = dial(await socketPair(), { timeoutMs: 40 });
    expect(await silentLinker.reason()).toBe('no handshake within 40 ms');
    expect(await silentNode.reason()).toBe('no handshake within 40 ms');
  });

  test('gives up in time on a peer that trickles', async () => {
    const sockets = await socketPair();
    const node = accept(sockets, { timeoutMs: 60 });
    const peer = new RawPeer(sockets.dialled);
    const hello = frameBytes(Frame.HELLO, Buffer.alloc(4_000, ' '));
    let at = 0;
    const trickle = setInterval(() => peer.socket.write(hello.subarray(at, ++at)), 1);
    expect(await node.reason()).toBe('no handshake within 60 ms');
    clearInterval(trickle);
  });

  test('that has succeeded does not fail afterwards, even if the link is not wanted', async () => {
    const sockets = await socketPair();
    const ends: string[] = [];
    accept(sockets, {
      ready: (link) => {
        ends.push('ready');
        link.close('not wanted');
      },
      failed: (reason) => ends.push(reason),
    });
    const linker = dial(sockets);
    await linker.reason();
    await until(() => sockets.accepted.closed);
    expect(ends).toEqual(['ready']);
  });

  test('is over for both sides when one leaves in the middle', async () => {
    const sockets = await socketPair();
    const node = accept(sockets);
    new RawPeer(sockets.dialled).socket.end();
    expect(await node.reason()).toBe('the peer closed the link');
    const reset = await socketPair();
    const other = accept(reset);
    reset.dialled.resetAndDestroy();
    expect(await other.reason()).toMatch(/ECONNRESET|closed/);
  });
});

describe('features', () => {
  test.each([
    [undefined],
    ['x'],
    [{ includes: 1 }],
    [[null, {}, 'one-that-is-to-come', '__proto__']],
    [Array.from({ length: 900 }, () => 'x')],
  ])('that only the other side has are ignored: %j', async (can) => {
    const sockets = await socketPair();
    let features: ReadonlySet<string> | null = null;
    accept(sockets, {
      ready: (link) => {
        features = link.features;
      },
    });
    await shakeAsLinker(new RawPeer(sockets.dialled), { ...HELLO, can });
    await until(() => features !== null);
    expect([...(features ?? ['none'])]).toEqual([]);
  });

  test('are what both sides have', () => {
    expect([...sharedFeatures(FEATURES)]).toEqual(FEATURES);
  });
});

describe('a proof', () => {
  test('that was recorded on one link is refused on the next', async () => {
    const first = await socketPair();
    const node = accept(first);
    const victim = new RawPeer(first.dialled);
    const hello = victim.sendJson(Frame.HELLO, { v: 2, ...HELLO, nonce: newNonce() });
    const challenge = (await victim.take(Frame.CHALLENGE)).payload;
    const proof = prove(SECRET, 'linker', { hello, challenge, channel: EMPTY });
    victim.sendJson(Frame.PROOF, { proof });
    expect(await node.reason()).toMatch(/^ready/);

    const second = await socketPair();
    const again = accept(second);
    const thief = new RawPeer(second.dialled);
    thief.send(Frame.HELLO, hello);
    await thief.take(Frame.CHALLENGE);
    thief.sendJson(Frame.PROOF, { proof });
    expect(await again.reason()).toBe(NOT_PROVED_HERE);
  });

  test('of a node that was recorded is refused by a linker that dials again', async () => {
    const first = await socketPair();
    accept(first);
    const said = new RawPeer(first.dialled);
    await shakeAsLinker(said);
    const recorded = (await said.take(Frame.WELCOME)).payload;

    const second = await socketPair();
    const linker = dial(second);
    const thief = new RawPeer(second.accepted);
    thief.sendJson(Frame.CHALLENGE, { v: 2, node: 'n1', nonce: newNonce() });
    await thief.take(Frame.PROOF);
    thief.send(Frame.WELCOME, recorded);
    expect(await linker.reason()).toBe('the node does not know the secret');
  });

  test("of the linker is refused as the node's", async () => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    const peer = new RawPeer(sockets.accepted);
    peer.sendJson(Frame.CHALLENGE, { v: 2, node: 'n1', nonce: newNonce() });
    peer.send(Frame.WELCOME, (await peer.take(Frame.PROOF)).payload);
    expect(await linker.reason()).toBe('the node does not know the secret');
  });

  test.each([
    ['route', { route: 'other.example.com' }],
    ['address', { at: '192.0.2.1:9080' }],
    ['highest version', { max: 3 }],
    ['relay', { relay: true }],
    ['list of features', { can: ['x'] }],
  ])('covers the %s that the hello says', async (_what, changed) => {
    const sockets = await socketPair();
    const node = accept(sockets, { address: () => '192.0.2.1:9080' });
    const peer = new RawPeer(sockets.dialled);
    const nonce = newNonce();
    peer.sendJson(Frame.HELLO, { v: 2, ...HELLO, nonce, ...changed });
    const challenge = (await peer.take(Frame.CHALLENGE)).payload;
    const hello = Buffer.from(JSON.stringify({ v: 2, ...HELLO, nonce }));
    peer.sendJson(Frame.PROOF, { proof: prove(SECRET, 'linker', { hello, challenge, channel: EMPTY }) });
    expect(await node.reason()).toContain(NOT_PROVED);
  });

  test('covers the node id that the challenge says', async () => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    const peer = new RawPeer(sockets.accepted);
    const hello = (await peer.take(Frame.HELLO)).payload;
    const nonce = newNonce();
    peer.sendJson(Frame.CHALLENGE, { v: 2, node: 'evil', nonce });
    await peer.take(Frame.PROOF);
    const challenge = Buffer.from(JSON.stringify({ v: 2, node: 'n1', nonce }));
    peer.sendJson(Frame.WELCOME, { proof: prove(SECRET, 'node', { hello, challenge, channel: EMPTY }) });
    expect(await linker.reason()).toBe('the node does not know the secret');
  });
});

describe('an address that came from the directory', () => {
  test('leads to the node that is known by it', async () => {
    const linked = await both({ address: () => 'n1.test:9080' }, { at: 'n1.test:9080' });
    expect(linked).toMatchObject({ linker: 'ready n1' });
  });

  test.each([['n1.test:9080'], ['evil.test:9081']])(
    '%s does not lead to one that is known by another, however the bytes get there',
    async (at) => {
      const sockets = await relayed();
      const [node, linker] = [accept(sockets, { address: () => 'n2.test:9080' }), dial(sockets, { at })];
      expect(await node.reason()).toBe(`the linker dialled ${at}, which is not the address of node n1`);
      expect(await linker.reason()).toBe(`refused by the peer: the linker dialled ${at}, which is not the address of node n1`);
    },
  );
});

test('a link that fails to begin does not disturb one that is up', async () => {
  const { node, linker } = await linkPair();
  const sockets = await socketPair();
  const failing = accept(sockets);
  new RawPeer(sockets.dialled).socket.write(Buffer.alloc(1_000, 0xff));
  await failing.reason();
  linker.link.grant(1);
  await until(() => node.link.idle === 1);
  expect([...node.downs, ...linker.downs]).toEqual([]);
});
