/** The Huffman code of HPACK (RFC 7541 appendix B), as a table that is walked four bits at a time. */

/** Bits of each symbol's code, EOS last. The code is canonical: shorter codes first, those of one length in the order of their symbols. */
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10,
  12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7,
  7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22,
  23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22,
  23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
  24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const SYMBOLS = 256;
const NO_SYMBOL = -1;
/** The end of a string, which is said by its length: no string has it (RFC 7541 section 5.2). */
const EOS = -2;
/** The padding of the last byte is the beginning of EOS, all ones, and shorter than a byte. */
const PADDING_BITS_MAX = 7;

interface Huffman {
  readonly next: Uint16Array;
  readonly symbol: Int16Array;
  /** At each state: 1 where a string may end. */
  readonly mayEnd: Uint8Array;
  readonly EOS: number;
}

/** The result of four more bits, at `state * 16 + bits`: the next state, and the symbol that they complete, EOS or NO_SYMBOL. */
export const huffman = build();

function build(): Huffman {
  const tree = makeTree();
  const states = tree.length;
  const next = new Uint16Array(states * 16);
  const symbol = new Int16Array(states * 16).fill(NO_SYMBOL);
  for (let state = 0; state < states; state++) {
    for (let bits = 0; bits < 16; bits++) {
      let at = state;
      for (let bit = 3; bit >= 0; bit--) {
        const to = tree[at]?.[(bits >> bit) & 1] ?? 0;
        if (to >= 0) {
          at = to;
          continue;
        }
        // No code is shorter than five bits: four of them complete one symbol at most.
        symbol[state * 16 + bits] = -to - 1 < SYMBOLS ? -to - 1 : EOS;
        at = 0;
      }
      next[state * 16 + bits] = at;
    }
  }
  const mayEnd = new Uint8Array(states);
  for (let state = 0, bits = 0; bits <= PADDING_BITS_MAX; bits++, state = tree[state]?.[1] ?? 0) mayEnd[state] = 1;
  return { next, symbol, mayEnd, EOS };
}

/** Inner nodes with their two branches: another node, or -1 - symbol. */
function makeTree(): [number, number][] {
  const tree: [number, number][] = [[0, 0]];
  const order = CODE_BITS.map((bits, symbol) => ({ bits, symbol })).sort((a, b) => a.bits - b.bits || a.symbol - b.symbol);
  let code = 0;
  let length = 0;
  for (const { bits, symbol } of order) {
    code *= 2 ** (bits - length);
    length = bits;
    let at = 0;
    for (let bit = bits - 1; bit > 0; bit--) {
      const node = tree[at] as [number, number];
      const branch = (code >>> bit) & 1;
      if (node[branch] === 0) node[branch] = tree.push([0, 0]) - 1;
      at = node[branch] as number;
    }
    (tree[at] as [number, number])[code & 1] = -1 - symbol;
    code++;
  }
  return tree;
}
