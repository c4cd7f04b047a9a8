import { dateValue } from '../http1/head/date.ts';
import { type Fields, fitsBlock } from './fields.ts';

/** Whether HTTP/2 can say a response's head at all. */
export function canRespond(status: number, fields: Fields): boolean {
  return status >= 200 && status <= 599 && fitsBlock(fields);
}

/** With the status in front, as a frame says it, and a `date` where a final response has none (RFC 9110 section 6.6.1). */
export function responseFields(status: number, fields: Fields, isFinal: boolean): Fields {
  const said = [':status', String(status)].concat(fields);
  if (isFinal && !hasDate(fields)) said.push('date', dateValue());
  return said;
}

function hasDate(fields: Fields): boolean {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === 'date') return true;
  return false;
}
