import { afterEach, describe, expect, test } from '@jest/globals';
import { Frame, HANDSHAKE_PAYLOAD_BYTES_MAX } from '../../../src/link/frames.ts';
import type { Hello } from '../../../src/link/handshake.ts';
import { newNonce, prove } from '../../../src/link/proof.ts';
import { accept, both, dial } from './outcome.ts';
import { HELLO, linkPair, SECRET, shakeAsLinker } from './pair.ts';
import { destroySockets, frameBytes, RawPeer, socketPair, until } from './wire.ts';

afterEach(destroySockets);

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
    expect(await both({ secrets: () => secrets }, { secret: 'secret 8' })).toMatchObject({ linker: 'the node does not know the secret' });
  });

  test('never gives more than eight proofs, which fit into the payload that a handshake may have', async () => {
    const sockets = await socketPair();
    accept(sockets, { secrets: () => Array.from({ length: 20 }, (_, at) => `secret ${at}`), node: 'n'.repeat(64) });
    const peer = new RawPeer(sockets.dialled);
    peer.sendJson(Frame.HELLO, { v: 1, ...HELLO, nonce: newNonce() });
    const { payload } = await peer.take(Frame.CHALLENGE);
    expect(payload.length).toBeLessThan(HANDSHAKE_PAYLOAD_BYTES_MAX);
    expect(JSON.parse(payload.toString()).proofs).toHaveLength(8);
  });

  test('asks for the secrets of the route that the linker names', async () => {
    const secrets = (route: string): readonly string[] => (route === 'b.example.com' ? ['of b'] : ['of others']);
    const hello = { ...HELLO, route: 'b.example.com' };
    expect((await both({ secrets }, { hello, secret: 'of b' })).linker).toBe('ready n1');
    expect((await both({ secrets }, { hello, secret: 'of others' })).linker).toBe('the node does not know the secret');
  });

  test('fails with a reason on both sides when the secrets differ', async () => {
    expect(await both({}, { secret: 'another' })).toEqual({
      linker: 'the node does not know the secret',
      node: 'refused by the peer: the node does not know the secret',
    });
  });

  test('fails with a reason on both sides when a node has no secret for the route', async () => {
    expect(await both({ secrets: () => [] }, {})).toEqual({
      node: 'no linker may serve the route app.example.com',
      linker: 'refused by the peer: no linker may serve the route app.example.com',
    });
  });

  test('is refused to a linker that proves a secret that it does not know', async () => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    await shakeAsLinker(peer, HELLO, 'a guess');
    expect(await peer.takeJson(Frame.REFUSE)).toEqual({ reason: 'the linker does not know the secret' });
    expect(await node.reason()).toBe('the linker does not know the secret');
    await peer.end();
  });

  test.each([
    ['nothing', undefined],
    ['no text', 17],
    ['an empty text', ''],
    ['a long text', 'x'.repeat(4_000)],
    ['a list', [SECRET]],
  ])('is refused to a linker whose proof is %s', async (_what, proof) => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    peer.sendJson(Frame.HELLO, { v: 1, ...HELLO, nonce: newNonce() });
    await peer.take(Frame.CHALLENGE);
    peer.sendJson(Frame.PROOF, { proof });
    expect(await node.reason()).toBe('the linker does not know the secret');
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

describe('a proof', () => {
  test('that was recorded on one link is refused on the next', async () => {
    const first = await socketPair();
    const node = accept(first);
    const victim = new RawPeer(first.dialled);
    const hello = victim.sendJson(Frame.HELLO, { v: 1, ...HELLO, nonce: newNonce() });
    const { nonce } = await victim.takeJson(Frame.CHALLENGE);
    const proof = prove(SECRET, 'linker', { hello, node: 'n1', nonce: String(nonce) });
    victim.sendJson(Frame.PROOF, { proof });
    expect(await node.reason()).toMatch(/^ready/);

    const second = await socketPair();
    const again = accept(second);
    const thief = new RawPeer(second.dialled);
    thief.send(Frame.HELLO, hello);
    await thief.take(Frame.CHALLENGE);
    thief.sendJson(Frame.PROOF, { proof });
    expect(await again.reason()).toBe('the linker does not know the secret');
  });

  test('of a node that was recorded is refused by a linker that dials again', async () => {
    const first = await socketPair();
    accept(first);
    const said = new RawPeer(first.dialled);
    said.sendJson(Frame.HELLO, { v: 1, ...HELLO, nonce: newNonce() });
    const recorded = (await said.take(Frame.CHALLENGE)).payload;

    const second = await socketPair();
    const linker = dial(second);
    new RawPeer(second.accepted).send(Frame.CHALLENGE, recorded);
    expect(await linker.reason()).toBe('the node does not know the secret');
  });

  test('of the node is refused as that of the linker', async () => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    peer.sendJson(Frame.HELLO, { v: 1, ...HELLO, nonce: newNonce() });
    const { proofs } = await peer.takeJson(Frame.CHALLENGE);
    peer.sendJson(Frame.PROOF, { proof: (proofs as string[])[0] });
    expect(await node.reason()).toBe('the linker does not know the secret');
  });

  test('covers everything that the hello says', async () => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    const nonce = newNonce();
    peer.sendJson(Frame.HELLO, { v: 1, ...HELLO, route: 'other.example.com', nonce });
    const challenge = await peer.takeJson(Frame.CHALLENGE);
    const hello = Buffer.from(JSON.stringify({ v: 1, ...HELLO, nonce }));
    peer.sendJson(Frame.PROOF, { proof: prove(SECRET, 'linker', { hello, node: 'n1', nonce: String(challenge.nonce) }) });
    expect(await node.reason()).toBe('the linker does not know the secret');
  });

  test('is not given by a linker to a node that has not proved itself first', async () => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    const peer = new RawPeer(sockets.accepted);
    await peer.take(Frame.HELLO);
    peer.sendJson(Frame.CHALLENGE, { v: 1, node: 'n1', nonce: newNonce(), proofs: ['x'.repeat(43)] });
    expect(await linker.reason()).toBe('the node does not know the secret');
    await peer.end();
    expect(peer.frames.map((frame) => frame.type)).toEqual([Frame.REFUSE]);
  });

  test('is looked for among eight proofs of a node, not in a longer list', async () => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    const peer = new RawPeer(sockets.accepted);
    const hello = (await peer.take(Frame.HELLO)).payload;
    const nonce = newNonce();
    const right = prove(SECRET, 'node', { hello, node: 'n1', nonce });
    peer.sendJson(Frame.CHALLENGE, { v: 1, node: 'n1', nonce, proofs: [...Array.from({ length: 8 }, () => 'x'), right] });
    expect(await linker.reason()).toBe('the node does not know the secret');
  });
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
