/** Addresses as numbers. */

/** An IPv6 address, of any zone, as four numbers of 32 bits. */
export function ipv6Words(address: string): number[] {
  const [text = ''] = address.split('%');
  const [head = '', tail] = text.split('::');
  const first = groupsOf(head);
  const last = tail === undefined ? [] : groupsOf(tail);
  const groups = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  return [0, 2, 4, 6].map((i) => (groups[i] as number) * 0x10000 + (groups[i + 1] as number));
}

/** `ffff:192.0.2.1` → three numbers of 16 bits. */
function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [Number.parseInt(part, 16)];
    const word = ipv4Word(part);
    return [word >>> 16, word & 0xffff];
  });
}

export function ipv4Word(address: string): number {
  return address.split('.').reduce((word, byte) => word * 256 + Number(byte), 0);
}
