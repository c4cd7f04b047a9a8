import type { Kind } from './kinds.ts';

const HEADER = /^header:([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})$/;
/** These fields frame and route a request, or are written by the node: they can't be a deadline as well. */
const NOT_THESE =
  /^(?:host|te|trailer|upgrade|expect|via|connection|keep-alive|content-length|transfer-encoding|content-type|x-request-id|traceparent|tracestate|forwarded|x-forwarded-.*|proxy-.*|authorization|cookie)$/i;

/** A header that says how long its client waits, in lower case. */
export const deadlineHeader: Kind<string> = {
  expected: 'header:NAME such as header:X-Timeout-Ms, and no header that frames or routes a request',
  placeholder: 'header:NAME',
  read(value) {
    const name = typeof value === 'string' ? HEADER.exec(value)?.[1] : undefined;
    return name === undefined || NOT_THESE.test(name) ? null : name.toLowerCase();
  },
  write: (value) => `header:${value}`,
};
