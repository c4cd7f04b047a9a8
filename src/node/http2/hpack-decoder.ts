import { type Fields, withNeverIndexed } from './fields.ts';
import { ENTRY_OVERHEAD_BYTES, STATIC_TABLE, TABLE_BYTES_MAX } from './hpack-table.ts';
import { huffman } from './huffman.ts';

/** No integer of a message that fits our limits is larger. */
const INTEGER_MAX = 2 ** 24;
const INTEGER_SHIFT_MAX = 28;
const BROKEN = -1;
const NOTHING: Buffer = Buffer.alloc(0);
/** The most bytes of a string in a block. A longer one is dropped, with its field. */
const STRING_BYTES_MAX = 65_536;
const ENTRIES_MAX = TABLE_BYTES_MAX / ENTRY_OVERHEAD_BYTES;
const STATIC_ENTRIES = STATIC_TABLE.length - 1;

const NAME_BYTES = allowed((byte) => /[a-z0-9!#$%&'*+.^_`|~-]/.test(String.fromCharCode(byte)));
const VALUE_BYTES = allowed((byte) => byte === 9 || (byte >= 32 && byte !== 127));
const COLON = 58;

interface Entry {
  readonly name: string;
  readonly value: string;
  readonly bytes: number;
  readonly nameIsMalformed: boolean;
  readonly isMalformed: boolean;
}

const STATIC = STATIC_TABLE.map(
  ([name, value]): Entry => ({ name, value, bytes: name.length + value.length, nameIsMalformed: false, isMalformed: false }),
);

/** The content of a header block. */
export interface DecodedBlock {
  readonly fields: Fields;
  /** A name or a value has a byte that RFC 9113 section 8.2.1 forbids there. */
  readonly isMalformed: boolean;
  /** It has more fields, or more bytes, than it may have: those beyond are left out. */
  readonly isTooLarge: boolean;
}

/** Reads the header blocks of one direction of a connection (RFC 7541). */
export class HpackDecoder {
  readonly #fieldsMax: number;
  readonly #bytesMax: number;
  readonly #table = new DynamicTable();
  readonly #string = Buffer.allocUnsafeSlow(256);
  // These belong to the block that is being read, and only within `decode`:
  #bytes: Buffer = NOTHING;
  #at = 0;
  #to = 0;
  #isMalformed = false;
  #isLong = false;

  /** A block may have so many fields, and so many bytes, as RFC 9113 section 6.5.2 counts them. */
  constructor(fieldsMax: number, bytesMax: number) {
    this.#fieldsMax = fieldsMax;
    this.#bytesMax = bytesMax;
  }

  /** Reads one whole block. Null: it is no HPACK, and nothing that follows on the connection has a meaning. */
  decode(bytes: Buffer, from: number, to: number): DecodedBlock | null {
    this.#bytes = bytes;
    this.#at = from;
    this.#to = to;
    const block = this.#block();
    this.#bytes = NOTHING;
    return block;
  }

  #block(): DecodedBlock | null {
    const bytes = this.#bytes;
    const to = this.#to;
    const fields: string[] = [];
    const never: string[] = [];
    let isMalformed = false;
    let isTooLarge = false;
    let left = this.#bytesMax;
    while (this.#at < to) {
      const byte = bytes[this.#at] as number;
      if (byte >= 0x20 && byte < 0x40) {
        // Only before the first field (RFC 7541 section 4.2).
        if (fields.length > 0 || isTooLarge || !this.#resize()) return null;
        continue;
      }
      const entry = byte >= 0x80 ? this.#entry(this.#integer(0x7f)) : this.#literal(byte >= 0x40);
      if (entry === null) return null;
      left -= entry.bytes + ENTRY_OVERHEAD_BYTES;
      isMalformed ||= entry.isMalformed;
      if (left < 0 || this.#isLong || fields.length >= this.#fieldsMax * 2) isTooLarge = true;
      else fields.push(entry.name, entry.value);
      if (byte < 0x20 && byte >= 0x10) never.push(entry.name);
    }
    return { fields: withNeverIndexed(fields, never), isMalformed, isTooLarge };
  }

  #resize(): boolean {
    const bytes = this.#integer(0x1f);
    if (bytes === BROKEN || bytes > TABLE_BYTES_MAX) return false;
    this.#table.resize(bytes);
    return true;
  }

  #literal(inserts: boolean): Entry | null {
    const index = this.#integer(inserts ? 0x3f : 0x0f);
    if (index === BROKEN) return null;
    this.#isMalformed = false;
    this.#isLong = false;
    let name: string | null;
    if (index === 0) name = this.#text(true);
    else {
      const named = this.#entry(index);
      name = named?.name ?? null;
      this.#isMalformed = named?.nameIsMalformed === true;
    }
    if (name === null) return null;
    const nameIsMalformed = this.#isMalformed || name === '' || name === ':';
    const value = this.#text(false);
    if (value === null) return null;
    const isMalformed = nameIsMalformed || this.#isMalformed;
    const entry = { name, value, bytes: name.length + value.length, nameIsMalformed, isMalformed };
    if (inserts) this.#table.add(entry, this.#isLong);
    return entry;
  }

  #entry(index: number): Entry | null {
    this.#isLong = false;
    if (index <= 0) return null;
    return index <= STATIC_ENTRIES ? (STATIC[index] as Entry) : this.#table.entry(index - STATIC_ENTRIES - 1);
  }

  /** `mask`: of the bits that it has in the first byte. */
  #integer(mask: number): number {
    const bytes = this.#bytes;
    let value = (bytes[this.#at++] as number) & mask;
    if (value < mask) return value;
    for (let shift = 0; this.#at < this.#to && shift <= INTEGER_SHIFT_MAX; shift += 7) {
      const byte = bytes[this.#at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value > INTEGER_MAX ? BROKEN : value;
    }
    return BROKEN;
  }

  #text(isName: boolean): string | null {
    if (this.#at >= this.#to) return null;
    const isHuffman = (this.#bytes[this.#at] as number) >= 0x80;
    const length = this.#integer(0x7f);
    const from = this.#at;
    if (length === BROKEN || length > this.#to - from) return null;
    this.#at = from + length;
    return isHuffman ? this.#huffman(from, from + length, isName) : this.#plain(this.#bytes, from, from + length, isName);
  }

  #plain(bytes: Buffer, from: number, to: number, isName: boolean): string {
    const valid = isName ? NAME_BYTES : VALUE_BYTES;
    // The reader of the head judges the names of pseudo-fields.
    for (let at = isName && bytes[from] === COLON ? from + 1 : from; at < to; at++) {
      if (valid[bytes[at] as number] === 0) this.#isMalformed = true;
    }
    if (to - from <= STRING_BYTES_MAX) return bytes.toString('latin1', from, to);
    this.#isLong = true;
    return '';
  }

  #huffman(from: number, to: number, isName: boolean): string | null {
    const bytes = this.#bytes;
    const { next, symbol, mayEnd } = huffman;
    // No code is shorter than five bits.
    const most = Math.ceil(((to - from) * 8) / 5);
    const out = most <= this.#string.length ? this.#string : Buffer.allocUnsafe(most);
    let length = 0;
    let state = 0;
    for (let at = from; at < to; at++) {
      const byte = bytes[at] as number;
      for (let shift = 4; shift >= 0; shift -= 4) {
        const step = state * 16 + ((byte >> shift) & 15);
        state = next[step] as number;
        const found = symbol[step] as number;
        if (found >= 0) out[length++] = found;
        // EOS is no part of a string (RFC 7541 section 5.2).
        else if (found === huffman.EOS) return null;
      }
    }
    return mayEnd[state] === 1 ? this.#plain(out, 0, length, isName) : null;
  }
}

/** The newest entry has index 0. */
class DynamicTable {
  readonly #entries: (Entry | null)[] = new Array<Entry | null>(ENTRIES_MAX).fill(null);
  #newest = 0;
  #size = 0;
  #used = 0;
  #max = TABLE_BYTES_MAX;

  entry(index: number): Entry | null {
    return index < this.#size ? (this.#entries[(this.#newest + index) % ENTRIES_MAX] ?? null) : null;
  }

  resize(max: number): void {
    this.#max = max;
    this.#evict(0);
  }

  /** One that is larger than the table empties it (RFC 7541 section 4.4). */
  add(entry: Entry, isLong: boolean): void {
    const bytes = isLong ? TABLE_BYTES_MAX + 1 : entry.bytes + ENTRY_OVERHEAD_BYTES;
    this.#evict(bytes);
    if (bytes > this.#max) return;
    this.#newest = (this.#newest + ENTRIES_MAX - 1) % ENTRIES_MAX;
    this.#entries[this.#newest] = entry;
    this.#used += bytes;
    this.#size++;
  }

  #evict(room: number): void {
    while (this.#size > 0 && this.#used + room > this.#max) {
      const place = (this.#newest + --this.#size) % ENTRIES_MAX;
      this.#used -= (this.#entries[place]?.bytes ?? 0) + ENTRY_OVERHEAD_BYTES;
      this.#entries[place] = null;
    }
  }
}

function allowed(is: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (is(byte) ? 1 : 0));
}
