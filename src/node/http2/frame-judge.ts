import { constants } from 'node:http2';
import { Allowance } from './allowance.ts';
import { ControlFrames } from './control-frames.ts';
import { FrameFlag, type FrameReader, FrameType, wordFrame } from './frame-walk.ts';
import { HeaderBlock } from './header-block.ts';
import type { WireLimits } from './http2-limits.ts';
import { FIRST_WINDOW_BYTES, UploadWindow, type WindowBudget } from './upload-windows.ts';

const SETTINGS_INITIAL_WINDOW_SIZE = 4;
const SETTING_BYTES = 6;
const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** Streams that were reset here while their client still sent: its frames may be on their way. */
const RESET_HERE_MAX = 1_000;
const MALFORMED_MAX = 1_000;
const EMPTY_FRAMES = 'too many frames that carry nothing';
const FAULTS = 'too many streams with faults';

const { NGHTTP2_PROTOCOL_ERROR, NGHTTP2_FLOW_CONTROL_ERROR, NGHTTP2_STREAM_CLOSED, NGHTTP2_COMPRESSION_ERROR } = constants;
/** By which a stream is reset for what its client did. */
const CLIENTS_FAULT: ReadonlySet<number> = new Set([
  NGHTTP2_PROTOCOL_ERROR,
  NGHTTP2_FLOW_CONTROL_ERROR,
  NGHTTP2_STREAM_CLOSED,
  constants.NGHTTP2_FRAME_SIZE_ERROR,
  constants.NGHTTP2_REFUSED_STREAM,
  constants.NGHTTP2_ENHANCE_YOUR_CALM,
]);

/** The judge's calls. */
export interface Sentences {
  /** Tells the client, as soon as no frame is in the middle. */
  say(frame: Buffer): void;
  /** The same, after what nghttp2 has written of the stream by now: behind a RST_STREAM nothing of it may follow (RFC 9113 section 5.1). */
  sayLast(frame: Buffer): void;
  /** Shows nghttp2 this frame before the one that begins now. */
  insert(frame: Buffer): void;
  /** The client has to be sent away. */
  end(code: number, reason: string): void;
}

/** A stream that is open, as the frames of both directions say. */
interface OpenStream {
  requestEnded: boolean;
  responseEnded: boolean;
  /** Of a body; -1: it says no length. */
  contentLeft: number;
  readonly upload: UploadWindow | null;
  /** By how much the client has widened the window of the answer, less what was sent. */
  widened: number;
  /** Bytes of the answer's body that were sent. */
  sent: number;
}

/** Sees the frames of a client's connection in both directions: which streams are open, and what its client may still do. */
export class FrameJudge {
  readonly #budget: WindowBudget;
  readonly #sentences: Sentences;
  readonly #resets: Allowance;
  readonly #control: ControlFrames;
  readonly #faults: Allowance;
  readonly #streams = new Map<number, OpenStream>();
  readonly #block = new HeaderBlock();
  readonly #malformed = new Set<number>();
  readonly #resetHere = new Set<number>();
  readonly #clientSettings = new SettingsReader();
  readonly #ownSettings = new SettingsReader();
  lastStream = 0;
  /** It left out numbers: one that is below the last may never have been opened. */
  #skipped = false;
  /** Frames of streams that were reset here may come that are not known any more. */
  #forgot = false;
  /** What is said of the windows of answers. */
  #clientWindow = FIRST_WINDOW_BYTES;
  /** Of a RST_STREAM that is being sent. */
  #resetStream = 0;
  #resetCode = 0;

  constructor(limits: WireLimits, budget: WindowBudget, sentences: Sentences) {
    this.#budget = budget;
    this.#sentences = sentences;
    const now = performance.now();
    this.#resets = new Allowance(limits.resetsMax, limits.resetsPerSecondMax, limits.resetsMax, now);
    this.#control = new ControlFrames(limits, now);
    this.#faults = new Allowance(limits.faultsMax, limits.faultsPerSecondMax, limits.faultsMax, now);
  }

  /** The head of this stream has a field that nghttp2 dropped, or its trailers have. Asked once. */
  isMalformed(stream: number): boolean {
    return this.#malformed.delete(stream);
  }

  /** The window of a request's body, to be released with its stream; null when there is none. */
  uploadOf(stream: number): UploadWindow | null {
    return this.#streams.get(stream)?.upload ?? null;
  }

  /** Bytes of the answer's body that were sent. */
  sentOn(stream: number): number {
    return this.#streams.get(stream)?.sent ?? 0;
  }

  /** `unread` bytes of the body lie here now. */
  renew(stream: number, upload: UploadWindow, unread: number): void {
    if (this.#streams.get(stream)?.requestEnded !== false) return;
    const bytes = upload.renew(unread, performance.now());
    if (bytes > 0) this.#sentences.say(wordFrame(FrameType.WINDOW_UPDATE, stream, bytes));
  }

  // ── what is received ──

  readonly received: FrameReader = {
    frame: (type, flags, stream, length, word) => {
      switch (type) {
        case FrameType.DATA:
          this.#data(stream, flags, length, word);
          return true;
        case FrameType.HEADERS:
          this.#block.begin(stream, flags, length);
          this.#headers(stream, (flags & FrameFlag.END_STREAM) !== 0);
          return true;
        case FrameType.CONTINUATION:
          this.#block.goOn(flags, length);
          return true;
        case FrameType.RST_STREAM:
          this.#reset(stream);
          return true;
        default:
          return this.#carriesNothing(type, flags, stream, word);
      }
    },
    payload: (type, bytes, from, to) => {
      if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) this.#block.payload(bytes, from, to);
      else if (type === FrameType.SETTINGS) {
        this.#clientSettings.read(bytes, from, to, (setting, value) => {
          if (setting === SETTINGS_INITIAL_WINDOW_SIZE) this.#clientWindow = value;
        });
      }
    },
    ended: (type) => {
      if ((type === FrameType.HEADERS || type === FrameType.CONTINUATION) && this.#block.frameEnded()) this.#blockEnded();
    },
  };

  #carriesNothing(type: number, flags: number, stream: number, word: number): boolean {
    this.#spend(this.#control, EMPTY_FRAMES);
    if (type === FrameType.SETTINGS) this.#clientSettings.begin();
    else if (type === FrameType.WINDOW_UPDATE) this.#widen(stream, word);
    else if (type === FrameType.PRIORITY && (stream === 0 || (word & WINDOW_BYTES_MAX) === stream)) {
      // RFC 9113 asks for the first only, RFC 7540 for both.
      this.#sentences.end(NGHTTP2_PROTOCOL_ERROR, 'PRIORITY of no stream, or of one that depends on itself');
    }
    // No PING is sent from here: Node would end the connection for an answer to none, which RFC 9113 does not ask for.
    return type !== FrameType.PING || (flags & FrameFlag.ACK) === 0;
  }

  #data(stream: number, flags: number, length: number, padding: number): void {
    const open = this.#streams.get(stream);
    const ends = (flags & FrameFlag.END_STREAM) !== 0;
    if (open === undefined) {
      this.#dataOfClosed(stream, ends);
      return;
    }
    const content = length - padding;
    if (content < 0) this.#sentences.end(NGHTTP2_PROTOCOL_ERROR, 'a frame that is padding beyond its end');
    else if (open.requestEnded) this.#refuse(stream, NGHTTP2_STREAM_CLOSED);
    else if (open.upload?.received(length) === false) this.#refuse(stream, NGHTTP2_FLOW_CONTROL_ERROR);
    else if (open.contentLeft >= 0 && (content > open.contentLeft || (ends && content < open.contentLeft))) {
      this.#refuse(stream, NGHTTP2_PROTOCOL_ERROR);
    } else {
      if (open.contentLeft >= 0) open.contentLeft -= content;
      this.#control.came(content);
      if (content === 0 && !ends) this.#spend(this.#control, EMPTY_FRAMES);
      if (ends) this.#requestEnded(stream, open);
    }
  }

  #dataOfClosed(stream: number, ends: boolean): void {
    // One that was never opened, or is none, ends the connection: nghttp2 sees to that.
    if (stream > this.lastStream || stream === 0 || this.#forgot) return;
    if (this.#resetHere.has(stream)) {
      if (ends) this.#resetHere.delete(stream);
      return;
    }
    this.#sentences.sayLast(wordFrame(FrameType.RST_STREAM, stream, NGHTTP2_STREAM_CLOSED));
    this.#spend(this.#faults, FAULTS);
  }

  #headers(stream: number, ends: boolean): void {
    if (this.#streams.has(stream)) return;
    if (stream > this.lastStream) {
      this.#skipped ||= stream > this.lastStream + 2;
      this.lastStream = stream;
      const upload = ends ? null : new UploadWindow(this.#budget, performance.now());
      this.#streams.set(stream, { requestEnded: ends, responseEnded: false, contentLeft: -1, upload, widened: 0, sent: 0 });
    } else if (this.#resetHere.has(stream)) {
      if (ends) this.#resetHere.delete(stream);
    } else if (!this.#forgot) {
      this.#sentences.end(this.#skipped ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_STREAM_CLOSED, 'HEADERS of a stream that is closed');
    }
  }

  #blockEnded(): void {
    const { stream, broken, malformed, endsStream, contentLength } = this.#block;
    if (broken) this.#sentences.end(NGHTTP2_COMPRESSION_ERROR, 'malformed header block');
    if (malformed) this.#noteMalformed(stream);
    const open = this.#streams.get(stream);
    if (open === undefined) return;
    if (endsStream) this.#requestEnded(stream, open);
    else open.contentLeft = contentLength;
  }

  #noteMalformed(stream: number): void {
    this.#malformed.add(stream);
    this.#spend(this.#faults, FAULTS);
    // Those that nghttp2 refused for another reason are never asked about.
    if (this.#malformed.size > MALFORMED_MAX) deleteOldest(this.#malformed);
  }

  #reset(stream: number): void {
    const open = this.#streams.get(stream);
    if (open === undefined || open.responseEnded) this.#spend(this.#control, EMPTY_FRAMES);
    else this.#spend(this.#resets, 'too many streams were cancelled');
    this.#streams.delete(stream);
    this.#resetHere.delete(stream);
  }

  #requestEnded(stream: number, open: OpenStream): void {
    open.requestEnded = true;
    if (open.responseEnded) this.#streams.delete(stream);
  }

  /** A window beyond 2^31-1 is that stream's error; Node would end the connection (RFC 9113 section 6.9.1). */
  #widen(stream: number, bytes: number): void {
    const open = this.#streams.get(stream);
    if (open === undefined) return;
    open.widened += bytes & WINDOW_BYTES_MAX;
    if (this.#clientWindow + open.widened > WINDOW_BYTES_MAX) this.#refuse(stream, NGHTTP2_FLOW_CONTROL_ERROR);
  }

  // ── what becomes of it ──

  #spend(allowance: Allowance | ControlFrames, reason: string): void {
    if (!allowance.spend(() => performance.now())) this.#sentences.end(constants.NGHTTP2_ENHANCE_YOUR_CALM, reason);
  }

  /** Resets one stream, for both sides, before nghttp2 sees what would end the connection. */
  #refuse(stream: number, code: number): void {
    this.#sentences.insert(wordFrame(FrameType.RST_STREAM, stream, code));
    this.#sentences.sayLast(wordFrame(FrameType.RST_STREAM, stream, code));
    this.#resetFromHere(stream);
    this.#spend(this.#faults, FAULTS);
  }

  #resetFromHere(stream: number): void {
    const open = this.#streams.get(stream);
    this.#streams.delete(stream);
    if (open?.requestEnded !== false) return;
    this.#resetHere.add(stream);
    if (this.#resetHere.size <= RESET_HERE_MAX) return;
    this.#forgot = true;
    deleteOldest(this.#resetHere);
  }

  // ── what is sent ──

  readonly sent: FrameReader = {
    frame: (type, flags, stream, length) => {
      if (type === FrameType.DATA || type === FrameType.HEADERS) this.#answer(type, flags, stream, length);
      else if (type === FrameType.SETTINGS) this.#ownSettings.begin();
      else if (type === FrameType.RST_STREAM) this.#resetStream = stream;
      // Windows of streams are granted here, and not by what nghttp2 was told of them.
      return type !== FrameType.WINDOW_UPDATE || stream === 0;
    },
    payload: (type, bytes, from, to) => {
      if (type === FrameType.SETTINGS) this.#ownSettings.replace(bytes, from, to, SETTINGS_INITIAL_WINDOW_SIZE, FIRST_WINDOW_BYTES);
      else if (type === FrameType.RST_STREAM) {
        for (let at = from; at < to; at++) this.#resetCode = (this.#resetCode << 8) | (bytes[at] as number);
      }
    },
    ended: (type) => {
      if (type !== FrameType.RST_STREAM) return;
      this.#resetFromHere(this.#resetStream);
      if (CLIENTS_FAULT.has(this.#resetCode)) this.#spend(this.#faults, FAULTS);
      this.#resetCode = 0;
    },
  };

  #answer(type: number, flags: number, stream: number, length: number): void {
    this.#control.sent();
    const open = this.#streams.get(stream);
    if (open !== undefined && type === FrameType.DATA) {
      open.widened -= length;
      open.sent += length;
    }
    if ((flags & FrameFlag.END_STREAM) === 0) return;
    this.#resets.earn(1);
    this.#faults.earn(1);
    if (open === undefined) return;
    open.responseEnded = true;
    if (open.requestEnded) this.#streams.delete(stream);
  }
}

/** The entries of SETTINGS frames, however they are cut. */
class SettingsReader {
  #at = 0;
  #setting = 0;
  #value = 0;

  begin(): void {
    this.#at = 0;
  }

  read(bytes: Buffer, from: number, to: number, entry: (setting: number, value: number) => void): void {
    for (let at = from; at < to; at++) {
      const place = this.#step(bytes[at] as number);
      if (place === SETTING_BYTES - 1) entry(this.#setting, this.#value);
    }
  }

  /** Puts `value` where `setting` says another. */
  replace(bytes: Buffer, from: number, to: number, setting: number, value: number): void {
    for (let at = from; at < to; at++) {
      const place = this.#step(bytes[at] as number);
      if (place > 1 && this.#setting === setting) bytes[at] = (value >> (8 * (SETTING_BYTES - 1 - place))) & 255;
    }
  }

  #step(byte: number): number {
    const place = this.#at++ % SETTING_BYTES;
    if (place < 2) this.#setting = ((this.#setting << 8) | byte) & 0xffff;
    else this.#value = place === 2 ? byte : this.#value * 256 + byte;
    return place;
  }
}

function deleteOldest(streams: Set<number>): void {
  for (const oldest of streams) {
    streams.delete(oldest);
    return;
  }
}
