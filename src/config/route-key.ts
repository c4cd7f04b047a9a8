/**
 * A key of a route, and the name that route and key have together, `ROUTE~KEY`. Each key is a route of its own in the directory and at nodes: it has
 * its own queue, instances and starts.
 */
import { hash } from 'node:crypto';
import { isRouteName } from './route-name.ts';

export const KEY_CHARS_MAX = 128;
/** No name of a route has it. */
const SEPARATOR = '~';
/** Safe as an argument, as a word of a shell, in names of files, and in a URL's path. */
const KEY = /^[A-Za-z0-9][A-Za-z0-9._@+=-]{0,127}$/;

export const KEY_EXPECTED = `letters, digits and . _ @ + = -, a letter or a digit first, at most ${KEY_CHARS_MAX}`;

export const SLUG_CHARS_MAX = 40;
/** 60 bits: nobody finds a key that has the slug of another one. */
const TAIL_CHARS = 12;
/** Some of the route is to be read, too. */
const ROUTE_CHARS = 13;
const TAIL_LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const LOOKS_LIKE_A_TAIL = /(^|-)[a-z2-7]{12}$/;

export function isKey(value: unknown): value is string {
  return typeof value === 'string' && KEY.test(value);
}

export function keyedName(route: string, key: string): string {
  return `${route}${SEPARATOR}${key}`;
}

export interface NameParts {
  readonly route: string;
  /** Null: the name of a route without a key. */
  readonly key: string | null;
}

export function nameParts(name: string): NameParts {
  const at = name.indexOf(SEPARATOR);
  return at === -1 ? { route: name, key: null } : { route: name.slice(0, at), key: name.slice(at + 1) };
}

/** The name of a route in its canonical form, or that of one of its keys. */
export function isServedName(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  const { route, key } = nameParts(value);
  return isRouteName(route) && (key === null || isKey(key));
}

/** It is the name of a route's key. */
export function hasKey(name: string): boolean {
  return name.includes(SEPARATOR);
}

/** The route for people and metrics: keys are folded under it. */
export function routeOf(name: string): string {
  return nameParts(name).route;
}

/**
 * Names route and key where only lower-case letters, digits and `-` are allowed, such as pods, units and containers; no two names have the same.
 * It ends with a hash where something is left out or changed, or where it could be read as another route and key.
 */
export function slugOf(name: string): string {
  const { route, key } = nameParts(name);
  const plain = key === null ? route : `${route}-${key}`;
  const isOwn = /^[a-z0-9]+$/.test(route) && (key === null || /^[a-z0-9]+(-[a-z0-9]+)*$/.test(key));
  if (isOwn && plain.length <= SLUG_CHARS_MAX && !LOOKS_LIKE_A_TAIL.test(plain)) return plain;
  const room = SLUG_CHARS_MAX - TAIL_CHARS - 1;
  const words = key === null ? wordsOf(route) : `${wordsOf(wordsOf(route).slice(0, ROUTE_CHARS))}-${wordsOf(key)}`;
  return [wordsOf(words.slice(0, room)), tailOf(name)].filter((part) => part !== '').join('-');
}

function wordsOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

function tailOf(name: string): string {
  return [...hash('sha256', name, 'buffer').subarray(0, TAIL_CHARS)].map((byte) => TAIL_LETTERS[byte % TAIL_LETTERS.length]).join('');
}
