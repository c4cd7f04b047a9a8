/**
 * A setting is one line in a command's table: its flag, its kind, its default and its help. Flags,
 * environment variables, file keys, help texts and the type of the result follow from that line.
 */
import type { Kind } from './kinds.ts';

export interface Setting<T> {
  /** `hold-timeout`: `--hold-timeout`, `PULLPROXY_HOLD_TIMEOUT`, and `hold-timeout` or `holdTimeout` in the file. */
  readonly flag: string;
  /** One letter: `-f`. */
  readonly letter?: string;
  readonly help: string;
  readonly placeholder: string;
  readonly expected: string;
  readonly form: 'one' | 'many' | 'switch';
  readonly required: boolean;
  /** Never shown in messages. */
  readonly secret: boolean;
  readonly defaultValue: T;
  /** The default as users write it; empty without a default. */
  readonly defaultText: string;
  /** Parses one value; null: it is not one. */
  readonly readItem: (value: unknown) => unknown;
}

/** A command's settings by their names in the code. */
export type Settings = Readonly<Record<string, Setting<unknown>>>;

export type Values<S extends Settings> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never };

/** A setting that always has a value. */
export function setting<T>(flag: string, kind: Kind<T>, defaultValue: T, help: string): Setting<T> {
  return { ...common(flag, kind, help), defaultValue, defaultText: String(kind.write(defaultValue)) };
}

/** A setting that may be absent. */
export function optional<T>(flag: string, kind: Kind<T>, help: string): Setting<T | undefined> {
  return { ...common(flag, kind, help), defaultValue: undefined, defaultText: '' };
}

/** Like `optional`, and messages never show the value. */
export function secret(flag: string, kind: Kind<string>, help: string): Setting<string | undefined> {
  return { ...optional(flag, kind, help), secret: true };
}

/** The command does not run without it. */
export function required<T>(flag: string, kind: Kind<T>, help: string): Setting<T> {
  // `loadCommand` refuses to return when it is missing, so the absent default is never seen.
  return { ...common(flag, kind, help), required: true, defaultValue: undefined as T, defaultText: '' };
}

/** Like `many`, with at least one value. */
export function atLeastOne<T>(flag: string, kind: Kind<T>, help: string): Setting<readonly T[]> {
  return { ...many(flag, kind, [], help), required: true };
}

/** Several values: the flag repeated, values after one another or separated by commas, or a list in the file. */
export function many<T>(flag: string, kind: Kind<T>, defaultValue: readonly T[], help: string): Setting<readonly T[]> {
  const defaultText = defaultValue.map((value) => String(kind.write(value))).join(',');
  return { ...common(flag, kind, help), form: 'many', defaultValue: Object.freeze(defaultValue), defaultText };
}

/** On when its flag is given. */
export function onOff(flag: string, kind: Kind<boolean>, help: string): Setting<boolean> {
  return { ...common(flag, kind, help), form: 'switch', defaultValue: false, defaultText: '' };
}

/** It may also be written with one letter. */
export function short<T>(letter: string, one: Setting<T>): Setting<T> {
  return { ...one, letter };
}

export function environmentName(flag: string): string {
  return `PULLPROXY_${flag.toUpperCase().replaceAll('-', '_')}`;
}

/** `hold-timeout` → `holdTimeout`: the spelling that route settings have, accepted in the file as well. */
export function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function common<T>(flag: string, kind: Kind<T>, help: string) {
  return {
    flag,
    help,
    placeholder: kind.placeholder,
    expected: kind.expected,
    form: 'one' as const,
    required: false,
    secret: false,
    readItem: kind.read,
  };
}
