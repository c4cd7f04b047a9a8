/** Changes of an input, as AFL makes them: flips, cuts, copies, words, splices. */
export type Random = () => number;

/** Mulberry32: the same seed gives the same run. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const INPUT_BYTES_MAX = 8_192;
const CHANGES_MAX = 6;

/** `lines`: the input is a list of lines, which are moved about as well. */
export function mutate(input: Buffer, other: Buffer, words: readonly string[], random: Random, lines = false): Buffer {
  let bytes = input;
  for (let changes = 1 + below(CHANGES_MAX, random); changes > 0; changes--) {
    bytes = lines && random() < 0.5 ? changeLines(bytes, other, random) : change(bytes, other, words, random);
  }
  return bytes.subarray(0, INPUT_BYTES_MAX);
}

function changeLines(bytes: Buffer, other: Buffer, random: Random): Buffer {
  const lines = bytes.toString('latin1').split('\n');
  const theirs = other.toString('latin1').split('\n');
  const at = below(lines.length, random);
  const to = below(lines.length + 1, random);
  switch (below(5, random)) {
    case 0:
      lines.splice(at, 1 + below(3, random));
      break;
    case 1:
      lines.splice(to, 0, lines[at] as string);
      break;
    case 2:
      lines.splice(to, 0, ...lines.splice(at, 1));
      break;
    case 3:
      lines.splice(to, 0, theirs[below(theirs.length, random)] as string);
      break;
    default:
      lines.splice(to, lines.length, ...theirs.slice(below(theirs.length, random)));
  }
  return Buffer.from(lines.join('\n'), 'latin1');
}

function change(bytes: Buffer, other: Buffer, words: readonly string[], random: Random): Buffer {
  const at = below(bytes.length + 1, random);
  const to = Math.min(bytes.length, at + 1 + below(12, random));
  const word = Buffer.from(words[below(words.length, random)] ?? '', 'latin1');
  switch (below(7, random)) {
    case 0:
      return replaced(bytes, at, Math.min(bytes.length, at + 1), Buffer.from([below(256, random)]));
    case 1:
      return replaced(bytes, at, to, Buffer.alloc(0));
    case 2:
      return replaced(bytes, at, at, word);
    case 3:
      return replaced(bytes, at, Math.min(bytes.length, at + word.length), word);
    case 4:
      return replaced(bytes, at, at, bytes.subarray(below(bytes.length + 1, random)).subarray(0, 1 + below(64, random)));
    case 5:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(below(other.length + 1, random))]);
    default: {
      const flipped = Buffer.from(bytes);
      if (at < bytes.length) flipped[at] = (flipped[at] as number) ^ (1 << below(8, random));
      return flipped;
    }
  }
}

function replaced(bytes: Buffer, from: number, to: number, by: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)]);
}

export function below(limit: number, random: Random): number {
  return Math.floor(random() * limit);
}
