/** Each route and each node has an address of its own: what stands behind the # of the page's. */

export function routeAddress(name) {
  return `#route=${encodeURIComponent(name)}`;
}

export function nodeAddress(id) {
  return `#node=${encodeURIComponent(id)}`;
}

/** The view that the address names: `{ kind: 'route' | 'node', name }`; null: the overview. */
export function pageOf(hash) {
  const match = /^#(route|node)=(.+)$/.exec(hash);
  if (match === null) return null;
  try {
    return { kind: match[1], name: decodeURIComponent(match[2]) };
  } catch {
    return null;
  }
}
