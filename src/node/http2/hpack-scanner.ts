/**
 * Reads header blocks (RFC 7541) beside nghttp2, which drops a field that is malformed without a word, so that the request went on
 * without it. Nothing is decoded into strings: it is enough to know whether there is such a field, and what length a body has.
 */
import { ENTRY_OVERHEAD_BYTES, STATIC_TABLE, TABLE_BYTES_MAX } from './hpack-table.ts';
import { huffman } from './huffman.ts';

const ENTRIES_MAX = TABLE_BYTES_MAX / ENTRY_OVERHEAD_BYTES;
/** No integer of a message that fits our limits is larger. */
const INTEGER_MAX = 2 ** 24;
const STATIC_ENTRIES = STATIC_TABLE.length - 1;
const STATIC_NAME_BYTES = STATIC_TABLE.map(([name]) => name.length);
const STATIC_CONTENT_LENGTH = 28;
const STATIC_HOST = 38;

/** What a name says about its value. */
const Name = { ORDINARY: 0, CONTENT_LENGTH: 1, HOST: 2, MALFORMED: 3 } as const;
type NameKind = (typeof Name)[keyof typeof Name];

/** What became of a field: a content length, or one of these. */
const FINE = -1;
const MALFORMED = -2;

const NAME_BYTES = allowed((byte) => /[a-z0-9!#$%&'*+.^_`|~-]/.test(String.fromCharCode(byte)));
/** White space at the ends is left to the reader of the request, who takes it off. */
const VALUE_BYTES = allowed((byte) => byte === 9 || (byte >= 32 && byte !== 127));
/** nghttp2 drops a `host` with any other. */
const HOST_BYTES = allowed((byte) => /[A-Za-z0-9\-._~%!$&'()*+,;=:@[\]]/.test(String.fromCharCode(byte)));
const COLON = 58;

/** A name is told by its length and its hash: who makes another one alike hurts only its own request. */
const CONTENT_LENGTH = nameHash('content-length');
const HOST = nameHash('host');

type State = 'field' | 'index' | 'name-length' | 'name-size' | 'name' | 'value-length' | 'value-size' | 'value';

export class HpackScanner {
  /** Of the block that was begun last: one of its fields is malformed. */
  malformed = false;
  /** -1: it says none that can be read. */
  contentLength = FINE;
  /** The block is no HPACK: nothing behind it has a meaning. */
  broken = false;

  readonly #table = new Table();
  #state: State = 'field';
  #integer = 0;
  #shift = 0;
  #indexed = false;
  #inserts = false;
  #resizes = false;
  #nameKind: NameKind = Name.ORDINARY;
  #nameBytes = 0;
  #nameHash = 0;
  #valueBytes = 0;
  #mark = FINE;
  #huffman = false;
  #code = 0;
  /** Bytes of the string that have not come yet. */
  #left = 0;

  /** Another header block follows. */
  begin(): void {
    this.malformed = false;
    this.contentLength = FINE;
    this.#state = 'field';
  }

  /** The next bytes of the block, wherever it is cut. */
  take(bytes: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at < to && !this.broken) {
      if (this.#state === 'name' || this.#state === 'value') at = this.#string(bytes, at, to);
      else this.#step(bytes[at++] as number);
    }
  }

  /** The block is complete. */
  end(): void {
    if (this.#state !== 'field') this.broken = true;
  }

  #step(byte: number): void {
    switch (this.#state) {
      case 'field':
        this.#beginField(byte);
        return;
      case 'name-length':
      case 'value-length':
        this.#huffman = byte >= 0x80;
        this.#beginInteger(byte & 0x7f, 0x7f, this.#state === 'name-length' ? 'name-size' : 'value-size');
        return;
      default:
        this.#integer += (byte & 0x7f) * 2 ** this.#shift;
        this.#shift += 7;
        if (this.#integer > INTEGER_MAX || this.#shift > 35) this.broken = true;
        else if (byte < 0x80) this.#haveInteger();
    }
  }

  #beginField(byte: number): void {
    this.#indexed = byte >= 0x80;
    this.#inserts = !this.#indexed && byte >= 0x40;
    this.#resizes = !this.#indexed && !this.#inserts && byte >= 0x20;
    const mask = this.#indexed ? 0x7f : this.#inserts ? 0x3f : this.#resizes ? 0x1f : 0x0f;
    this.#beginInteger(byte & mask, mask, 'index');
  }

  #beginInteger(value: number, mask: number, state: 'index' | 'name-size' | 'value-size'): void {
    this.#state = state;
    this.#integer = value;
    this.#shift = 0;
    if (value < mask) this.#haveInteger();
  }

  #haveInteger(): void {
    if (this.#state === 'index') this.#haveIndex(this.#integer);
    else this.#beginString(this.#state === 'name-size' ? 'name' : 'value');
  }

  #haveIndex(index: number): void {
    this.#state = 'field';
    if (this.#resizes) {
      if (index > TABLE_BYTES_MAX) this.broken = true;
      else this.#table.resize(index);
    } else if (this.#indexed) {
      if (index === 0 || !this.#has(index)) this.broken = true;
      else if (index > STATIC_ENTRIES) this.#note(this.#table.mark(index - STATIC_ENTRIES - 1));
    } else if (index === 0) {
      this.#state = 'name-length';
    } else if (!this.#has(index)) {
      this.broken = true;
    } else {
      this.#nameFrom(index);
      this.#state = 'value-length';
    }
  }

  #has(index: number): boolean {
    return index <= STATIC_ENTRIES + this.#table.size;
  }

  #nameFrom(index: number): void {
    if (index <= STATIC_ENTRIES) {
      this.#nameBytes = STATIC_NAME_BYTES[index] as number;
      this.#nameKind = index === STATIC_CONTENT_LENGTH ? Name.CONTENT_LENGTH : index === STATIC_HOST ? Name.HOST : Name.ORDINARY;
    } else {
      this.#nameBytes = this.#table.nameBytes(index - STATIC_ENTRIES - 1);
      this.#nameKind = this.#table.nameKind(index - STATIC_ENTRIES - 1);
    }
  }

  #beginString(state: 'name' | 'value'): void {
    this.#state = state;
    this.#left = this.#integer;
    this.#code = 0;
    if (state === 'name') {
      this.#nameBytes = 0;
      this.#nameHash = 0;
      this.#nameKind = Name.ORDINARY;
    } else {
      this.#valueBytes = 0;
      this.#mark = this.#nameKind === Name.MALFORMED ? MALFORMED : this.#nameKind === Name.CONTENT_LENGTH ? 0 : FINE;
    }
    if (this.#left === 0) this.#endString();
  }

  #string(bytes: Uint8Array, from: number, to: number): number {
    const end = Math.min(to, from + this.#left);
    const isName = this.#state === 'name';
    for (let at = from; at < end; at++) {
      const byte = bytes[at] as number;
      if (this.#huffman) {
        this.#bits(byte >> 4, isName);
        this.#bits(byte & 15, isName);
      } else if (isName) this.#nameByte(byte);
      else this.#valueByte(byte);
    }
    this.#left -= end - from;
    if (this.#left === 0) this.#endString();
    return end;
  }

  #bits(bits: number, isName: boolean): void {
    const at = this.#code * 16 + bits;
    this.#code = huffman.next[at] as number;
    const symbol = huffman.symbol[at] as number;
    if (symbol < 0) return;
    if (isName) this.#nameByte(symbol);
    else this.#valueByte(symbol);
  }

  #nameByte(byte: number): void {
    // What a pseudo-header may be called nghttp2 judges itself, and refuses.
    if (NAME_BYTES[byte] === 0 && (byte !== COLON || this.#nameBytes > 0)) this.#nameKind = Name.MALFORMED;
    this.#nameHash = (Math.imul(this.#nameHash, 31) + byte) | 0;
    this.#nameBytes++;
  }

  #valueByte(byte: number): void {
    this.#valueBytes++;
    if (this.#mark === MALFORMED) return;
    if (VALUE_BYTES[byte] === 0 || (this.#nameKind === Name.HOST && HOST_BYTES[byte] === 0)) this.#mark = MALFORMED;
    else if (this.#mark >= 0) this.#mark = byte >= 48 && byte <= 57 && this.#mark < 2 ** 48 ? this.#mark * 10 + byte - 48 : FINE;
  }

  #endString(): void {
    if (this.#state === 'name') {
      if (this.#nameBytes === 0) this.#nameKind = Name.MALFORMED;
      else if (this.#nameKind === Name.ORDINARY) this.#nameKind = kindOf(this.#nameBytes, this.#nameHash);
      this.#state = 'value-length';
      return;
    }
    this.#state = 'field';
    this.#note(this.#mark);
    if (this.#inserts) this.#table.add(this.#nameBytes, this.#valueBytes, this.#nameKind, this.#mark);
  }

  #note(mark: number): void {
    if (mark === MALFORMED) this.malformed = true;
    else if (mark >= 0) this.contentLength = mark;
  }
}

/** What the dynamic table says of each of its entries, newest first. */
class Table {
  readonly #bytes = new Uint16Array(ENTRIES_MAX);
  readonly #nameBytes = new Uint16Array(ENTRIES_MAX);
  readonly #nameKinds = new Uint8Array(ENTRIES_MAX);
  readonly #marks = new Float64Array(ENTRIES_MAX);
  #newest = 0;
  size = 0;
  #used = 0;
  #max = TABLE_BYTES_MAX;

  mark(index: number): number {
    return this.#marks[this.#place(index)] as number;
  }

  nameBytes(index: number): number {
    return this.#nameBytes[this.#place(index)] as number;
  }

  nameKind(index: number): NameKind {
    return this.#nameKinds[this.#place(index)] as NameKind;
  }

  resize(max: number): void {
    this.#max = max;
    this.#evict(0);
  }

  /** One that is larger than the table empties it (RFC 7541 section 4.4). */
  add(nameBytes: number, valueBytes: number, nameKind: NameKind, mark: number): void {
    const bytes = nameBytes + valueBytes + ENTRY_OVERHEAD_BYTES;
    this.#evict(bytes);
    if (bytes > this.#max) return;
    this.#newest = (this.#newest + ENTRIES_MAX - 1) % ENTRIES_MAX;
    this.#bytes[this.#newest] = bytes;
    this.#nameBytes[this.#newest] = nameBytes;
    this.#nameKinds[this.#newest] = nameKind;
    this.#marks[this.#newest] = mark;
    this.#used += bytes;
    this.size++;
  }

  #evict(room: number): void {
    while (this.size > 0 && this.#used + room > this.#max) {
      this.size--;
      this.#used -= this.#bytes[this.#place(this.size)] as number;
    }
  }

  #place(index: number): number {
    return (this.#newest + index) % ENTRIES_MAX;
  }
}

function kindOf(bytes: number, hash: number): NameKind {
  if (bytes === CONTENT_LENGTH.bytes && hash === CONTENT_LENGTH.hash) return Name.CONTENT_LENGTH;
  return bytes === HOST.bytes && hash === HOST.hash ? Name.HOST : Name.ORDINARY;
}

function nameHash(name: string): { readonly bytes: number; readonly hash: number } {
  return { bytes: name.length, hash: [...Buffer.from(name)].reduce((hash, byte) => (Math.imul(hash, 31) + byte) | 0, 0) };
}

function allowed(is: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (is(byte) ? 1 : 0));
}
