/** What is the same for linkers and for nodes, on a link that is up. */
import { once } from 'node:events';
import { Frame, PAYLOAD_BYTES_MAX } from '../../src/link/frames.ts';
import { EMPTY, headBytes } from '../support/harness/link-wire.ts';
import { Broken, type RuleId } from './rules.ts';
import type { SeenStream, Wire } from './wire.ts';

const SECOND = 1_000;
const OVERSENT_BYTES = 64 * 1_048_576;

/** `link` makes one that is up. */
export const peerChecks = <Peer>(link: (peer: Peer) => Promise<Wire>) => ({
  async 'frame-bytes'(peer: Peer) {
    const side = await link(peer);
    side.socket.write(headBytes(Frame.DATA, PAYLOAD_BYTES_MAX + 1, 1));
    await side.ends('frame-bytes', 'a frame of 65,537 bytes was announced', 2 * SECOND);
  },

  async pong(peer: Peer) {
    const side = await link(peer);
    side.pings = false;
    const before = side.count(Frame.PONG);
    side.send(Frame.PING, EMPTY);
    await side.until('pong', 'PONG answers PING', () => side.count(Frame.PONG) > before, 3 * SECOND);
  },

  async ping(peer: Peer) {
    const side = await link(peer);
    side.pings = false;
    let longest = 0;
    const by = performance.now() + 5 * SECOND;
    while (performance.now() < by) {
      await side.staysUp('ping', 'its PINGs were answered', 20);
      longest = Math.max(longest, performance.now() - side.heardAt);
    }
    if (longest > 2_800) throw new Broken('ping', `nothing was said for ${Math.round(longest)} ms`);
  },

  async silence(peer: Peer) {
    const side = await link(peer);
    side.isAlive = false;
    const since = performance.now();
    await side.ends('silence', 'nothing is said', 10 * SECOND);
    if (performance.now() - since < 1_900) throw new Broken('silence', 'a peer that was silent for less than 2 s was given up');
  },
});

/** Sends without regard to credit. Kernels keep some megabytes on the way to a reader that does not read. */
export async function oversend(rule: RuleId, side: Wire, stream: SeenStream): Promise<void> {
  const piece = Buffer.alloc(65_536);
  for (let sent = 0; sent < OVERSENT_BYTES && !side.closed; sent += piece.length) {
    stream.sent += piece.length;
    side.send(Frame.DATA, piece, stream.id);
    if (side.socket.writableNeedDrain) await Promise.race([once(side.socket, 'drain'), once(side.socket, 'close')]).catch(() => {});
  }
  await side.ends(rule, 'megabytes were sent without credit', 3 * SECOND);
}
