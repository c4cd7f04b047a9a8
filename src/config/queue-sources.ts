/** Where a request says what the queue wants to know: route settings such as `fairBy=header:X-Tenant`. */
import type { Kind } from './kinds.ts';

export type QueueSource =
  | { readonly from: 'client' }
  | { readonly from: 'header'; readonly name: string }
  | { readonly from: 'cookie'; readonly name: string }
  | { readonly from: 'rfc9218' };

/** Where a request says which instance it would rather have. */
export type AffinitySource = Exclude<QueueSource, { readonly from: 'rfc9218' }> | { readonly from: 'set-cookie' };

/** Value → weight. */
export type Weights = ReadonlyMap<string, number>;

const WEIGHTS_MAX = 100;
const WEIGHT_MAX = 64;
/** A token of RFC 9110 section 5.6.2. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;

export const fairSource: Kind<QueueSource> = source(['client', 'header', 'cookie']);
export const urgencySource: Kind<QueueSource> = source(['header', 'rfc9218']);
export const costSource: Kind<QueueSource> = source(['header']);

const VALUE_SOURCE = source(['cookie', 'header', 'client']);
const SET_COOKIE = Object.freeze({ from: 'set-cookie' as const });

export const affinitySource: Kind<AffinitySource> = {
  expected: `${VALUE_SOURCE.expected}, ${SET_COOKIE.from}`,
  placeholder: `${VALUE_SOURCE.placeholder}|${SET_COOKIE.from}`,
  read: (value) => (value === SET_COOKIE.from ? SET_COOKIE : (VALUE_SOURCE.read(value) as AffinitySource | null)),
  write: (value) => (value.from === 'set-cookie' ? value.from : VALUE_SOURCE.write(value)),
};

/** Names of headers are the same in upper and lower case, those of cookies are not (RFC 6265). */
function source(allowed: readonly QueueSource['from'][]): Kind<QueueSource> {
  const forms = allowed.map((from) => (from === 'header' || from === 'cookie' ? `${from}:NAME` : from));
  return {
    expected: `one of ${forms.join(', ')}`,
    placeholder: forms.join('|'),
    read(value) {
      if (typeof value !== 'string') return null;
      const [, from = value, name = ''] = /^(header|cookie):(.*)$/.exec(value) ?? [];
      const known = allowed.find((one) => one === from);
      if (known === 'client' || known === 'rfc9218') return Object.freeze({ from: known });
      if (known === undefined || !NAME.test(name)) return null;
      return Object.freeze({ from: known, name: known === 'header' ? name.toLowerCase() : name });
    },
    write: (value) => ('name' in value ? `${value.from}:${value.name}` : value.from),
  };
}

/** As a user writes them: `gold:4,free:1`. */
export const shareWeights: Kind<Weights> = {
  expected: `values and their weights from 1 to ${WEIGHT_MAX}, such as gold:4,free:1; at most ${WEIGHTS_MAX}`,
  placeholder: 'VALUE:N,...',
  read(value) {
    const pairs = typeof value === 'string' ? value.split(',') : [];
    const weights = new Map<string, number>();
    for (const pair of pairs) {
      const [, name = '', weight = ''] = /^\s*(\S.{0,255}):(\d{1,2})\s*$/.exec(pair) ?? [];
      if (name === '' || weights.has(name) || Number(weight) < 1 || Number(weight) > WEIGHT_MAX) return null;
      weights.set(name, Number(weight));
    }
    return weights.size > 0 && weights.size <= WEIGHTS_MAX ? weights : null;
  },
  write: (value) => [...value].map(([name, weight]) => `${name}:${weight}`).join(','),
};
