import { constants } from 'node:http2';
import { numberOf } from './frame-rules.ts';
import { FrameFlag } from './frames.ts';
import { type DecodedBlock, HpackDecoder } from './hpack-decoder.ts';

/** The most bytes of a block as it is sent, compressed. */
const BLOCK_BYTES_MAX = 131_072;
const CONTINUATIONS_MAX = 64;
const PRIORITY_BYTES = 5;
const NOTHING: Buffer = Buffer.alloc(0);
const { NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_FRAME_SIZE_ERROR } = constants;

/** The header blocks that a peer sends: each a HEADERS frame and the CONTINUATIONs that follow. */
export class HeaderAssembly {
  readonly #decoder: HpackDecoder;
  #stream = 0;
  #bytes: Buffer = NOTHING;
  /** CONTINUATIONs are awaited. */
  isOpen = false;
  endsStream = false;

  #continuations = 0;

  /** A block may have so many fields, and so many bytes, as RFC 9113 section 6.5.2 counts them. */
  constructor(fieldsMax: number, bytesMax: number) {
    this.#decoder = new HpackDecoder(fieldsMax, bytesMax);
  }

  get isWhole(): boolean {
    return !this.isOpen;
  }

  /** Returns an error's code. */
  begin(stream: number, flags: number, payload: Buffer): number {
    const hasPadding = (flags & FrameFlag.PADDED) !== 0;
    const from = (hasPadding ? 1 : 0) + ((flags & FrameFlag.PRIORITY) !== 0 ? PRIORITY_BYTES : 0);
    if (payload.length < from) return NGHTTP2_FRAME_SIZE_ERROR;
    const to = payload.length - (hasPadding ? (payload[0] as number) : 0);
    if (to < from) return NGHTTP2_PROTOCOL_ERROR;
    // A stream that depends on itself (RFC 7540 section 5.3.1): as with PRIORITY.
    if (from >= PRIORITY_BYTES && numberOf(payload.subarray(from - PRIORITY_BYTES)) === stream) return NGHTTP2_PROTOCOL_ERROR;
    this.#stream = stream;
    this.#continuations = 0;
    this.endsStream = (flags & FrameFlag.END_STREAM) !== 0;
    this.isOpen = (flags & FrameFlag.END_HEADERS) === 0;
    const fragment = payload.subarray(from, to);
    this.#bytes = this.isOpen ? Buffer.from(fragment) : fragment;
    return NGHTTP2_NO_ERROR;
  }

  goOn(stream: number, flags: number, payload: Buffer): number {
    if (!this.isOpen || stream !== this.#stream) return NGHTTP2_PROTOCOL_ERROR;
    if (this.#bytes.length + payload.length > BLOCK_BYTES_MAX || ++this.#continuations > CONTINUATIONS_MAX)
      return NGHTTP2_ENHANCE_YOUR_CALM;
    this.#bytes = Buffer.concat([this.#bytes, payload]);
    this.isOpen = (flags & FrameFlag.END_HEADERS) === 0;
    return NGHTTP2_NO_ERROR;
  }

  /** Null: it is no HPACK. */
  decode(): DecodedBlock | null {
    const bytes = this.#bytes;
    this.#bytes = NOTHING;
    return this.#decoder.decode(bytes, 0, bytes.length);
  }
}
