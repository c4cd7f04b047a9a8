/** What an application answers that could be understood in two ways, or is meant for somebody else. */
import type { EvilAnswer } from './recording-app.ts';

export interface AnswerCase extends EvilAnswer {
  readonly what: string;
  readonly method?: string;
  /** What pullproxy does, in the table's words. */
  readonly expected: string;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const SECOND = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';

export const ANSWER_CASES: readonly AnswerCase[] = [
  { what: 'a second answer behind the first', bytes: `${OK}Content-Length: 5\r\n\r\nhello${SECOND}`, expected: '200 hello' },
  { what: 'a second answer behind one without a body', bytes: `HTTP/1.1 204 No Content\r\n\r\n${SECOND}`, expected: '204' },
  { what: 'a body behind 304', bytes: `HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n${SECOND}`, expected: '304' },
  { what: 'a body in answer to HEAD', method: 'HEAD', bytes: `${OK}Content-Length: 5\r\n\r\nhello`, expected: '200' },
  { what: 'a length and chunks', bytes: `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, expected: '502' },
  { what: 'two lengths', bytes: `${OK}Content-Length: 5\r\nContent-Length: 9\r\n\r\nhello`, expected: '502' },
  { what: 'a length with a sign', bytes: `${OK}Content-Length: +5\r\n\r\nhello`, expected: '502' },
  { what: 'another coding in front of chunked', bytes: `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, expected: '502' },
  { what: 'a chunk size that is no number', bytes: `${OK}Transfer-Encoding: chunked\r\n\r\nz\r\nhello\r\n0\r\n\r\n`, expected: '502' },
  {
    what: 'a bad chunk behind a good one',
    bytes: `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nz\r\n`,
    expected: '502',
  },
  { what: 'a length that is not reached', bytes: `${OK}Content-Length: 50\r\n\r\nhello`, ends: true, expected: '200 cut off' },
  { what: 'chunks without their end', bytes: `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`, ends: true, expected: '200 cut off' },
  { what: 'a folded header', bytes: `${OK}X-A: a\r\n b\r\nContent-Length: 5\r\n\r\nhello`, expected: '502' },
  { what: 'a NUL in a header', bytes: `${OK}X-A: a\0b\r\nContent-Length: 5\r\n\r\nhello`, expected: '502' },
  { what: 'a CR alone in a header', bytes: `${OK}X-A: a\rSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello`, expected: '502' },
  { what: 'LF alone at the ends of lines', bytes: 'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello', expected: '200 hello' },
  { what: 'a space in front of a colon', bytes: `${OK}Content-Length : 5\r\n\r\nhello`, expected: '502' },
  { what: 'a header without colon', bytes: `${OK}nonsense\r\nContent-Length: 5\r\n\r\nhello`, expected: '502' },
  { what: 'no HTTP', bytes: 'hello\r\n\r\n', ends: true, expected: '502' },
  { what: 'HTTP/2.0', bytes: 'HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello', expected: '502' },
  { what: 'a status of four digits', bytes: 'HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello', expected: '502' },
  { what: '101 that nobody asked for', bytes: `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n${SECOND}`, expected: '502' },
  { what: 'a head without end', bytes: `${OK}${'X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n'.repeat(3_000)}`, expected: '502' },
  { what: 'nothing, and closes', bytes: '', ends: true, expected: '502' },
];
