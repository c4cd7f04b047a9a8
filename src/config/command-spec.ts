import type { Settings, Values } from './settings.ts';

/** One command as its help shows it. */
export interface Described {
  readonly name: string;
  /** One line for the program's help. */
  readonly summary: string;
  /** The arguments after the command's name. */
  readonly usage: readonly string[];
  readonly about: string;
  readonly settings: Settings;
  /** Whether `-- CMD ARG...` ends the line. */
  readonly tail: 'none' | 'optional' | 'required';
  /** Whether words stand before the flags, as in `route get NAME`. */
  readonly operands: boolean;
  /** Whether the file may hold `routes:`. */
  readonly routes: boolean;
  /** False: --config names the file of another command. */
  readonly readsFile?: false;
  readonly examples: readonly (readonly [line: string, what: string])[];
}

/** One command, complete. */
export interface CommandSpec<S extends Settings> extends Described {
  readonly settings: S;
  /** Checks that need several settings. Returns problems in the same form as the others. */
  readonly check?: (values: Values<S>, tail: readonly string[]) => readonly string[];
}

/** Keeps the table's exact type. */
export function command<const S extends Settings>(spec: CommandSpec<S>): CommandSpec<S> {
  return Object.freeze(spec);
}
