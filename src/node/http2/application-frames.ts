import { ControlFrames } from './control-frames.ts';
import { FrameFlag, type FrameReader, FrameType, FrameWalk } from './frame-walk.ts';
import type { WireLimits } from './http2-limits.ts';

const PREFACE_BYTES = 24;
const IGNORED = (): void => {};

/**
 * The frames of a connection to an application, in both directions. nghttp2 counts some of what an application may send without end, and
 * Node leaves a session open after some connection errors. Here all frames that carry no content are counted, as those of a client are.
 */
export class ApplicationFrames {
  /** The application has sent more than it may, or nghttp2 has found a connection error: the session is of no more use. */
  areOver = false;
  /** The stream of the exchange, while its answer is not complete; 0: there is none. */
  #open = 0;
  #last = 0;
  readonly #control: ControlFrames;
  readonly #inbound: FrameWalk;
  readonly #outbound: FrameWalk;

  constructor(limits: WireLimits) {
    this.#control = new ControlFrames(limits, performance.now());
    this.#inbound = new FrameWalk(this.#received, 0);
    this.#outbound = new FrameWalk(this.#sent, PREFACE_BYTES);
  }

  receive(bytes: Buffer): void {
    this.#inbound.take(bytes);
  }

  send(bytes: Buffer): void {
    this.#outbound.take(bytes);
  }

  readonly #received: FrameReader = {
    frame: (type, flags, stream, length, padding) => {
      if (!this.areOver) this.#judge(type, flags, stream, type === FrameType.DATA ? length - padding : 0);
      return true;
    },
    payload: IGNORED,
    ended: IGNORED,
  };

  readonly #sent: FrameReader = {
    frame: (type, _flags, stream) => {
      if (type === FrameType.DATA || type === FrameType.HEADERS) this.#control.sent();
      // No session is closed in order here: nghttp2 says it of an error.
      else if (type === FrameType.GOAWAY) this.areOver = true;
      if (type === FrameType.HEADERS && stream > this.#last) this.#open = this.#last = stream;
      return true;
    },
    payload: IGNORED,
    ended: IGNORED,
  };

  #judge(type: number, flags: number, stream: number, content: number): void {
    const isOfResponse = stream === this.#open && (type === FrameType.DATA || type === FrameType.HEADERS);
    const ends = isOfResponse && (flags & FrameFlag.END_STREAM) !== 0;
    if (ends || (type === FrameType.RST_STREAM && stream === this.#open)) this.#open = 0;
    if (isOfResponse && content > 0) this.#control.came(content);
    // A head that does not end the answer is counted, too: interim answers have no other bound.
    else if (!ends) this.areOver = !this.#control.spend(() => performance.now());
  }
}
