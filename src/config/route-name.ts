const LABEL = /^[a-z\d_]([a-z\d_-]{0,61}[a-z\d_])?$/;

export const ROUTE_CHARS_MAX = 253;

export const ROUTE_NAME_EXPECTED =
  'a host name such as app.example.com, *.example.com for all hosts below it, or * for any host (letters, digits, hyphens and dots, at most 253)';

/**
 * The canonical form of a route's name: lower case, without the trailing dot; null when `name` is not a route's name.
 * A leading `*.` stands for all hosts below, a single `*` for any host. RFC 1123 does not allow underscores in host names, but
 * container networks make such names and browsers send them.
 */
export function validRouteName(name: string): string | null {
  if (name === '*') return name;
  const plain = (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
  if (plain.length > ROUTE_CHARS_MAX) return null;
  const labels = (plain.startsWith('*.') ? plain.slice(2) : plain).split('.');
  return labels.every((label) => LABEL.test(label)) ? plain : null;
}

/** Whether `name` is a route's name in its canonical form. Names from a linker, from Redis or from a file must be canonical. */
export function isRouteName(name: unknown): name is string {
  return typeof name === 'string' && validRouteName(name) === name;
}
