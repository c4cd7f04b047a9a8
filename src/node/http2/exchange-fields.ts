import { listMembers } from '../http1/head/headers.ts';
import type { RequestHead } from '../http1/head/request-head.ts';
import { type Fields, isConnectionSpecific } from './fields.ts';

/** The head as an application that speaks HTTP/2 gets it: what was read, judged and rewritten is said in fields again. */
export function fieldsOf({ bytes, method, proto }: RequestHead): Fields {
  const [start = '', ...lines] = bytes.toString('latin1').split('\r\n');
  const fields: string[] = [];
  let authority = '';
  let takesTrailers = false;
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon === -1) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'host') authority = value;
    // In capitals or twice: there is only one form of it (RFC 9113 section 8.2.2).
    else if (name === 'te') takesTrailers ||= listMembers(value).includes('trailers');
    else if (!isConnectionSpecific(name)) fields.push(name, value);
  }
  if (takesTrailers) fields.push('te', 'trailers');
  const scheme = proto === 'https' ? 'https' : 'http';
  return [':method', method, ':path', start.split(' ')[1] ?? '', ':scheme', scheme, ':authority', authority, ...fields];
}
