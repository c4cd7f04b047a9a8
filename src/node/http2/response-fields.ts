import { dateValue } from '../http1/head/date.ts';
import { fieldsOf, type OwnResponse } from '../http1/own-responses.ts';
import { type Fields, fitsBlock, neverIndexed, passesInResponse, withNeverIndexed } from './fields.ts';

interface ResponseStream {
  readonly method: string;
  respond(status: number, fields: Fields, hasEnded: boolean): void;
  write(bytes: Buffer): boolean;
  end(): void;
}

/** Whether HTTP/2 can say a response's head at all. */
export function canRespond(status: number, fields: Fields): boolean {
  return status >= 200 && status <= 599 && fitsBlock(fields);
}

/** By its meaning (RFC 9110 section 15.3.6). */
export function hasNoContent(status: number): boolean {
  return status === 205;
}

/** Those that have a place in a response, with the status in front, and a `date` where a final one has none (RFC 9110 section 6.6.1). */
export function responseFields(status: number, fields: Fields, isFinal: boolean): Fields {
  const said = [':status', String(status)];
  let isDated = !isFinal;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (!passesInResponse(name) || (name === 'content-length' && hasNoContent(status))) continue;
    isDated ||= name === 'date';
    said.push(name, fields[i + 1] as string);
  }
  if (!isDated) said.push('date', dateValue());
  return withNeverIndexed(said, neverIndexed(fields));
}

/** Says one of pullproxy's own responses on a client's stream. */
export function sayOwn(stream: ResponseStream, { status, lines, body }: OwnResponse): void {
  const isWhole = body === '' || stream.method === 'HEAD';
  stream.respond(status, fieldsOf(lines), isWhole);
  if (isWhole) return;
  stream.write(Buffer.from(body));
  stream.end();
}
