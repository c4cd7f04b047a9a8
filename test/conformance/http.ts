/** As much of HTTP/1.1 as the kit needs. */

export interface Response {
  readonly status: number;
  readonly body: Buffer;
  /** In the bytes that were looked at. */
  readonly bytes: number;
}

export const request = (route: string, path: string, method = 'GET', headers = ''): Buffer =>
  Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: ${route}\r\n${headers}\r\n`);

export const upload = (route: string, path: string, bytes: number): Buffer => request(route, path, 'POST', `Content-Length: ${bytes}\r\n`);

export const response = (body: Buffer | string, headers = ''): Buffer =>
  Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${headers}Content-Length: ${body.length}\r\n\r\n`), Buffer.from(body)]);

/** The whole response at the beginning of the bytes; null: more of it is to come. */
export function readResponse(bytes: Buffer): Response | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const head = bytes.toString('latin1', 0, headEnd);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
  const start = headEnd + 4;
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    const end = start + Number(length);
    return bytes.length < end ? null : { status, body: bytes.subarray(start, end), bytes: end };
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return { status: 0, body: Buffer.from(head), bytes: bytes.length };
  const pieces: Buffer[] = [];
  for (let at = start; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    const next = line + 2 + size + 2;
    if (!(size >= 0) || bytes.length < next) return null;
    if (size === 0) return { status, body: Buffer.concat(pieces), bytes: next };
    pieces.push(bytes.subarray(line + 2, line + 2 + size));
    at = next;
  }
}
