/** Source maps by lines: a stack needs no columns, and they are most of a map. https://tc39.es/ecma426/ */
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]));
/** Each digit holds five bits, and whether another one follows. */
const BITS = 5;
const MORE = 1 << BITS;

/** The map of what is ours alone: `isOwn` gets the path of a source. One mapping where another line begins. */
export function lineMap(map, isOwn) {
  const sources = [];
  const numbers = new Map();
  const numberOf = (path) => {
    if (!numbers.has(path)) numbers.set(path, sources.push(path) - 1);
    return numbers.get(path);
  };
  const from = [0, 0, 0, 0];
  const to = { source: 0, line: 0 };
  let last = '';
  const mappings = map.mappings.split(';').map((line) => {
    from[0] = 0;
    let column = 0;
    const kept = [];
    for (const segment of line === '' ? [] : line.split(',')) {
      decode(segment).forEach((difference, field) => {
        if (field < from.length) from[field] += difference;
      });
      const path = map.sources[from[1]];
      const place = isOwn(path) ? `${path}:${from[2]}` : '';
      if (place === last && kept.length > 0) continue;
      last = place;
      const fields = [from[0] - column];
      column = from[0];
      if (place !== '') {
        const source = numberOf(path);
        fields.push(source - to.source, from[2] - to.line, 0);
        Object.assign(to, { source, line: from[2] });
      }
      kept.push(fields.map(encode).join(''));
    }
    return kept.join();
  });
  return { version: 3, sources, names: [], mappings: mappings.join(';') };
}

function decode(segment) {
  const fields = [];
  let value = 0;
  let shift = 0;
  for (const digit of segment) {
    const bits = VALUES.get(digit);
    value |= (bits & (MORE - 1)) << shift;
    shift += BITS;
    if (bits & MORE) continue;
    fields.push(value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return fields;
}

function encode(number) {
  let rest = number < 0 ? (-number << 1) | 1 : number << 1;
  let text = '';
  do {
    const bits = rest & (MORE - 1);
    rest >>>= BITS;
    text += DIGITS[rest > 0 ? bits | MORE : bits];
  } while (rest > 0);
  return text;
}
