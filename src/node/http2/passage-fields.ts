import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import type { RequestHead } from '../http1/request-head.ts';

/** What HTTP/1.1 needs and HTTP/2 says otherwise. */
const FRAMING: ReadonlySet<string> = new Set(['host', 'transfer-encoding', 'connection']);

/** The head as an application that speaks HTTP/2 gets it: what was read, judged and rewritten is said in fields again. */
export function fieldsOf({ bytes, method, proto }: RequestHead): OutgoingHttpHeaders {
  const [start = '', ...lines] = bytes.toString('latin1').split('\r\n');
  const fields: OutgoingHttpHeaders = { ':method': method, ':path': start.split(' ')[1], ':scheme': proto === 'https' ? 'https' : 'http' };
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon === -1) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'host') fields[':authority'] = value;
    if (FRAMING.has(name)) continue;
    const before = fields[name];
    fields[name] = before === undefined ? value : `${String(before)}, ${value}`;
  }
  return fields;
}

/** Fields that came by HTTP/2 are passed on as they are. */
export function passableFields(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return { ...headers };
}
