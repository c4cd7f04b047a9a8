/** The input that is being tried, on file: after an endless loop, or an end of the whole process, it is known there. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { INPUT_BYTES_MAX } from './mutate.ts';

const NAME_BYTES = 64;
const HEAD_BYTES = NAME_BYTES + 4;

export interface CurrentInput {
  readonly target: string;
  readonly bytes: Buffer;
}

export class InputFile {
  readonly #file: number;
  readonly #head = Buffer.alloc(HEAD_BYTES);

  constructor(path: string) {
    this.#file = openSync(path, 'w');
  }

  note(target: string, bytes: Buffer): void {
    const kept = bytes.subarray(0, INPUT_BYTES_MAX);
    this.#head.fill(0, 0, NAME_BYTES);
    this.#head.write(target, 0, NAME_BYTES, 'latin1');
    this.#head.writeUInt32BE(kept.length, NAME_BYTES);
    writeSync(this.#file, this.#head, 0, HEAD_BYTES, 0);
    writeSync(this.#file, kept, 0, kept.length, HEAD_BYTES);
  }

  close(): void {
    closeSync(this.#file);
  }
}

export function readCurrent(path: string): CurrentInput {
  const file = readFileSync(path);
  const target = file.toString('latin1', 0, NAME_BYTES).replace(/\0+$/, '');
  return { target, bytes: Buffer.from(file.subarray(HEAD_BYTES, HEAD_BYTES + file.readUInt32BE(NAME_BYTES))) };
}
