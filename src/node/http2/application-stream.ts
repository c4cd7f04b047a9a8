import { type ClientHttp2Session, type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2';
import { guard } from '../../boundary.ts';
import { type Fields, fieldsFrom, fitsBlock, headersOf, NO_FIELDS } from './fields.ts';
import { GuardedStream, type StreamOwner } from './guarded-stream.ts';

export interface ApplicationStreamOwner extends StreamOwner {
  informed(status: number, fields: Fields): void;
  /** `ends`: the head is the whole answer. */
  responded(status: number, fields: Fields, ends: boolean): void;
}

/** A request to an application that speaks HTTP/2, and its answer. */
export class ApplicationStream extends GuardedStream<ClientHttp2Stream> {
  #trailersToSay: Fields = NO_FIELDS;

  /** `hasBody`: `end` follows, maybe with trailers. Null: Node refuses to send such a request. */
  static open(session: ClientHttp2Session, fields: Fields, hasBody: boolean, owner: ApplicationStreamOwner): ApplicationStream | null {
    if (!fitsBlock(fields)) return null;
    try {
      const stream = session.request(headersOf(fields), { endStream: !hasBody, waitForTrailers: hasBody });
      return new ApplicationStream(stream, owner);
    } catch {
      return null;
    }
  }

  private constructor(stream: ClientHttp2Stream, owner: ApplicationStreamOwner) {
    super(stream, owner, true);
    const informed = guard(this.domain, (headers: IncomingHttpHeaders, _flags: number, raw?: string[]) => {
      owner.informed(Number(headers[':status']), fieldsFrom(raw, headers));
    });
    const responded = guard(this.domain, (headers: IncomingHttpHeaders, flags: number, raw?: string[]) => {
      const ends = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      owner.responded(Number(headers[':status']), fieldsFrom(raw, headers), ends);
    });
    stream.on('headers', informed);
    stream.on('response', responded);
    stream.on('wantTrailers', () => this.attempt(() => stream.sendTrailers(headersOf(this.#trailersToSay))));
  }

  /** It got no stream of the session: the application has seen nothing of it. */
  get isUnsent(): boolean {
    return this.stream.pending;
  }

  endWith(trailers: Fields): void {
    if (fitsBlock(trailers)) this.#trailersToSay = trailers;
    this.end();
  }
}
