import { customAlphabet } from 'nanoid';

/** Lower-case letters and digits, with a letter first, so that an id fits into names of pods, containers, units and hosts. */
const letter = customAlphabet('abcdefghijklmnopqrstuvwxyz', 1);
const rest = customAlphabet('abcdefghijklmnopqrstuvwxyz0123456789', 11);

/** 61 bits: among a million ids the chance of a pair is below one in four million. */
export function newStartId(): string {
  return letter() + rest();
}
