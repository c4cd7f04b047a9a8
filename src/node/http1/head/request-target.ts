import { PullproxyError } from '../../../errors.ts';
import type { HeadLines } from './head-lines.ts';

export interface Target {
  /** The target for the application; null: unchanged. */
  readonly replacement: string | null;
  /** The authority of an absolute-form target: it replaces Host. */
  readonly authority: string | null;
}

const AS_IT_CAME: Target = { replacement: null, authority: null };
const SPACE = 0x20;
const LETTER_H = 0x48;
const SLASH = 0x2f;
const ASTERISK = 0x2a;
const HASH = 0x23;

/**
 * The target of a head (RFC 9112 section 3.2).
 * @throws PullproxyError bad_request when it is of no form that a server of requests gets.
 */
export function readTarget({ bytes, urlStart, urlEnd }: HeadLines, method: string): Target {
  // The parser lets several spaces pass, and RTSP and ICE: those write another name in front of their version.
  const usual = bytes[urlStart - 2] !== SPACE && bytes[urlEnd] === SPACE && bytes[urlEnd + 1] === LETTER_H;
  if (!usual) throw new PullproxyError('bad_request', 'malformed request line');
  // Clients do not send fragments: an application that cuts one off would see another target than we do.
  for (let i = urlStart; i < urlEnd; i++) if (bytes[i] === HASH) throw new PullproxyError('bad_request', 'fragment in the request target');
  if (bytes[urlStart] === SLASH) return AS_IT_CAME;
  if (bytes[urlStart] === ASTERISK && urlEnd - urlStart === 1 && method === 'OPTIONS') return AS_IT_CAME;
  const absolute = /^https?:\/\/([^/?@]+)([/?].*)?$/i.exec(bytes.toString('latin1', urlStart, urlEnd));
  if (absolute === null) throw new PullproxyError('bad_request', 'malformed request target');
  const path = absolute[2] ?? (method === 'OPTIONS' ? '*' : '/');
  return { replacement: path.startsWith('?') ? `/${path}` : path, authority: absolute[1] as string };
}

const HOST = /^(\[[0-9a-fA-F:.]{2,45}\]|[a-zA-Z0-9._-]{0,253}?)\.?(?::\d{0,5})?$/;
/** Clients of one application ask for one host most of the time. */
let lastValue = '';
let lastName = '';

/**
 * `Example.com:8080` → `example.com`, `[::1]:80` → `[::1]`, a trailing dot goes.
 * @throws PullproxyError bad_request when it is no host.
 */
export function hostName(value: string): string {
  if (value === lastValue) return lastName;
  const parts = HOST.exec(value);
  if (parts === null) throw new PullproxyError('bad_request', 'malformed Host');
  lastName = (parts[1] as string).toLowerCase();
  lastValue = value;
  return lastName;
}
