const SECOND_MS = 1_000;

let value = '';
let line = '';
let lineSecond = -1;

/** The `Date` line of a response that is sent now, with its CRLF (RFC 9110 section 6.6.1). It is made once a second. */
export function dateLine(): string {
  look();
  return line;
}

/** The same, without its name. */
export function dateValue(): string {
  look();
  return value;
}

function look(): void {
  const second = Math.floor(Date.now() / SECOND_MS);
  if (second === lineSecond) return;
  lineSecond = second;
  value = new Date(second * SECOND_MS).toUTCString();
  line = `Date: ${value}\r\n`;
}
