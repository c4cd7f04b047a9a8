/** Peers of pullproxy 0.1, which speak version 1 of the protocol: only where the operator lets them. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { Frame, HANDSHAKE_PAYLOAD_BYTES_MAX } from '../../../src/link/frames.ts';
import { newNonce } from '../../../src/link/proof.ts';
import { proveV1 } from '../../../src/link/proof-v1.ts';
import { HELLO, SECRET } from '../../support/harness/link-pair.ts';
import { destroySockets, RawPeer, type SocketPair, socketPair } from '../../support/harness/link-wire.ts';
import { accept, both, dial } from '../../support/harness/outcome.ts';

const OLD = { versionMin: 1 } as const;

afterEach(destroySockets);

/** As 0.1 does it: its linker says HELLO, hears CHALLENGE with proofs, and gives its own. */
async function oldLinker({ dialled }: SocketPair, secret = SECRET): Promise<RawPeer> {
  const peer = new RawPeer(dialled);
  const hello = peer.sendJson(Frame.HELLO, { v: 1, ...HELLO, nonce: newNonce() });
  const { node, nonce, proofs } = await peer.takeJson(Frame.CHALLENGE);
  const said = { hello, node: String(node), nonce: String(nonce) };
  expect(proofs).toContain(proveV1(SECRET, 'node', said));
  peer.sendJson(Frame.PROOF, { proof: proveV1(secret, 'linker', said) });
  return peer;
}

/** As 0.1 does it: its node takes version 1 and nothing else, and proves first. */
async function oldNode({ accepted }: SocketPair): Promise<void> {
  const peer = new RawPeer(accepted);
  const hello = (await peer.take(Frame.HELLO)).payload;
  const { v } = JSON.parse(hello.toString()) as { v: number };
  if (v !== 1) {
    peer.sendJson(Frame.REFUSE, { reason: `the linker speaks protocol version ${v}, this node 1` });
    return;
  }
  const said = { hello, node: 'n1', nonce: newNonce() };
  peer.sendJson(Frame.CHALLENGE, { v: 1, node: said.node, nonce: said.nonce, proofs: [proveV1(SECRET, 'node', said)] });
  const { proof } = await peer.takeJson(Frame.PROOF);
  expect(proof).toBe(proveV1(SECRET, 'linker', said));
  peer.sendJson(Frame.WELCOME, {});
}

describe('a linker of 0.1', () => {
  test('is linked where the operator lets it', async () => {
    const sockets = await socketPair();
    const node = accept(sockets, OLD);
    await (await oldLinker(sockets)).take(Frame.WELCOME);
    expect(await node.reason()).toMatch(/^ready/);
  });

  test('is refused with words where not, and no proof is given', async () => {
    const sockets = await socketPair();
    const node = accept(sockets);
    const peer = new RawPeer(sockets.dialled);
    peer.sendJson(Frame.HELLO, { v: 1, ...HELLO, nonce: newNonce() });
    expect(await peer.takeJson(Frame.REFUSE)).toEqual({ reason: 'the linker speaks link protocol 1, this node 2' });
    expect(await node.reason()).toContain('link protocol 1');
    expect(peer.frames).toEqual([]);
  });

  test('with a wrong secret is refused', async () => {
    const sockets = await socketPair();
    const node = accept(sockets, OLD);
    await oldLinker(sockets, 'a guess');
    expect(await node.reason()).toContain('has not proved a secret');
  });

  test('hears eight proofs that fit the payload of a handshake, whether the route has a secret, many, or none', async () => {
    for (const count of [0, 1, 20]) {
      const sockets = await socketPair();
      accept(sockets, { ...OLD, secrets: () => Array.from({ length: count }, (_, at) => `secret ${at}`), node: 'n'.repeat(64) });
      const peer = new RawPeer(sockets.dialled);
      peer.sendJson(Frame.HELLO, { v: 1, ...HELLO, nonce: newNonce() });
      const { payload } = await peer.take(Frame.CHALLENGE);
      expect(payload.length).toBeLessThan(HANDSHAKE_PAYLOAD_BYTES_MAX);
      expect(new Set((JSON.parse(payload.toString()) as { proofs: string[] }).proofs).size).toBe(8);
    }
  });
});

describe('a node of 0.1', () => {
  test('is linked where the operator lets it', async () => {
    const sockets = await socketPair();
    const linker = dial(sockets, OLD);
    await oldNode(sockets);
    expect(await linker.reason()).toBe('ready n1');
  });

  test('refuses with words where not', async () => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    await oldNode(sockets);
    expect(await linker.reason()).toBe('refused by the peer: the linker speaks protocol version 2, this node 1');
  });

  test('gets no proof before its own, and none for a wrong one', async () => {
    const sockets = await socketPair();
    const linker = dial(sockets, OLD);
    const peer = new RawPeer(sockets.accepted);
    await peer.take(Frame.HELLO);
    peer.sendJson(Frame.CHALLENGE, { v: 1, node: 'n1', nonce: newNonce(), proofs: [null, 1, {}, [], 'x'.repeat(43)] });
    expect(await linker.reason()).toBe('the node does not know the secret');
    await peer.end();
    expect(peer.frames.map((frame) => frame.type)).toEqual([Frame.REFUSE]);
  });
});

describe('nobody in between makes two sides speak an older version than both know', () => {
  test('by a node that still takes version 1: a HELLO without the highest version is not what the linker said', async () => {
    const [near, far] = [await socketPair(), await socketPair()];
    const [linker, node] = [dial(near, OLD), accept(far, OLD)];
    const [toLinker, toNode] = [new RawPeer(near.accepted), new RawPeer(far.dialled)];
    const { max, ...hello } = await toLinker.takeJson(Frame.HELLO);
    expect([max, hello.v]).toEqual([2, 1]);
    toNode.sendJson(Frame.HELLO, hello);
    toLinker.send(Frame.CHALLENGE, (await toNode.take(Frame.CHALLENGE)).payload);
    expect(await linker.reason()).toBe('the node does not know the secret');
    toNode.socket.destroy();
    expect(await node.reason()).not.toMatch(/^ready/);
  });

  test('by a CHALLENGE of version 1 where the linker takes only 2', async () => {
    const sockets = await socketPair();
    const linker = dial(sockets);
    const peer = new RawPeer(sockets.accepted);
    const hello = (await peer.take(Frame.HELLO)).payload;
    const said = { hello, node: 'n1', nonce: newNonce() };
    peer.sendJson(Frame.CHALLENGE, { v: 1, node: 'n1', nonce: said.nonce, proofs: [proveV1(SECRET, 'node', said)] });
    expect(await linker.reason()).toContain('the node speaks link protocol 1, this linker 2');
  });

  test('both take the newest, whatever else they would take', async () => {
    expect(await both(OLD, {})).toMatchObject({ linker: 'ready n1' });
    expect(await both({}, OLD)).toMatchObject({ linker: 'ready n1' });
    expect(await both({ ...OLD, address: () => 'n1.test:1' }, { ...OLD, at: 'evil.test:1' })).toMatchObject({
      node: 'the linker dialled evil.test:1, which is not the address of node n1',
    });
  });
});
