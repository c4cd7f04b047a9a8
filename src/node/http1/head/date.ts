const SECOND_MS = 1_000;

let line = '';
let lineSecond = -1;

/** The `Date` line of a response that is sent now, with its CRLF (RFC 9110 section 6.6.1). It is made once a second. */
export function dateLine(): string {
  const second = Math.floor(Date.now() / SECOND_MS);
  if (second !== lineSecond) {
    lineSecond = second;
    line = `Date: ${new Date(second * SECOND_MS).toUTCString()}\r\n`;
  }
  return line;
}
