/**
 * The kinds of values that settings have. Each says what it expects, reads what a flag, the environment, a file or JSON
 * gives, and writes a value the way a user would.
 */
import { AGENT_ROOM_MAX } from './agent-limits.ts';
import { formatDuration, LONGEST_TIMER_MS, parseDuration } from './duration.ts';
import { formatHostPort, type HostPort, parseHostPort } from './host-port.ts';
import { isNodeId, isStartId } from './ids.ts';
import { parseRedisUrl } from './redis-url.ts';
import { isKey, KEY_EXPECTED } from './route-key.ts';
import { ROUTE_NAME_EXPECTED, validRouteName } from './route-name.ts';
import { formatSize, parseSize } from './size.ts';

const ARGUMENTS_MAX = 256;
/** For an operator's `--id`; a worker adds its number. */
const NODE_ID_CHARS_MAX = 64;
const ARGUMENT_CHARS_MAX = 16_384;

export interface Kind<T> {
  /** Completes "expected …". */
  readonly expected: string;
  /** Stands for the value in help texts. */
  readonly placeholder: string;
  /** Null: the value is not of this kind. */
  readonly read: (value: unknown) => T | null;
  readonly write: (value: T) => string | number | boolean;
}

export function whole(min: number, max: number): Kind<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    placeholder: 'N',
    read(value) {
      const number = typeof value === 'string' && /^\d{1,15}$/.test(value.trim()) ? Number(value) : value;
      return typeof number === 'number' && Number.isInteger(number) && number >= min && number <= max ? number : null;
    },
    write: (value) => value,
  };
}

/** The status of a response with a text: 204, 205 and 304 can't have one. */
export const responseStatus: Kind<number> = {
  ...whole(200, 599),
  expected: 'a status from 200 to 599, and not 204, 205 or 304',
  read(value) {
    const status = whole(200, 599).read(value);
    return status === 204 || status === 205 || status === 304 ? null : status;
  },
};

/** A part of a whole. */
export const share: Kind<number> = {
  expected: 'a number from 0 to 1, such as 0.1',
  placeholder: 'SHARE',
  read(value) {
    const number = typeof value === 'string' && /^(\d{1,9}(\.\d{1,9})?|\.\d{1,9})$/.test(value.trim()) ? Number(value) : value;
    return typeof number === 'number' && number >= 0 && number <= 1 ? number : null;
  },
  write: (value) => value,
};

/** A duration in ms. */
export function duration(minMs: number, maxMs = LONGEST_TIMER_MS): Kind<number> {
  return {
    expected: `a duration such as 250ms, 30s, 5m or 1h, from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`,
    placeholder: 'DURATION',
    read(value) {
      const ms = typeof value === 'string' ? parseDuration(value) : null;
      return ms !== null && ms >= minMs && ms <= maxMs ? ms : null;
    },
    write: formatDuration,
  };
}

/** How long a node that leaves serves on before. */
export const drainDelay = duration(0, 3_600_000);

/** How long a route is paused, and how long the command waits until nothing is in flight. */
export const pauseFor = duration(1);
export const pauseWait = duration(0, 600_000);

/** A size in bytes. */
export function size(minBytes: number, maxBytes: number): Kind<number> {
  return {
    expected: `a size such as 65536, 64KiB or 1GiB, from ${formatSize(minBytes)} to ${formatSize(maxBytes)}`,
    placeholder: 'BYTES',
    read(value) {
      const bytes = typeof value === 'number' ? value : typeof value === 'string' ? parseSize(value) : null;
      return bytes !== null && Number.isInteger(bytes) && bytes >= minBytes && bytes <= maxBytes ? bytes : null;
    },
    write: formatSize,
  };
}

export function choice<const T extends string>(...choices: readonly T[]): Kind<T> {
  return {
    expected: `one of ${choices.join(', ')}`,
    placeholder: choices.join('|'),
    read: (value) => choices.find((one) => one === value) ?? null,
    write: (value) => value,
  };
}

/** Whether a pause waits for the end of WebSockets and TCP connections. */
export const pausedTunnels = choice('wait', 'ignore');

export function text(placeholder: string, expected: string, pattern = /^[^\0]+$/): Kind<string> {
  return {
    expected,
    placeholder,
    read: (value) => (typeof value === 'string' && pattern.test(value) ? value : null),
    write: (value) => value,
  };
}

function checked(placeholder: string, expected: string, is: (value: unknown) => value is string): Kind<string> {
  return { expected, placeholder, read: (value) => (is(value) ? value : null), write: (value) => value };
}

export const yesNo: Kind<boolean> = {
  expected: 'true or false',
  placeholder: 'true|false',
  read(value) {
    if (value === true || value === 'true' || value === '1') return true;
    return value === false || value === 'false' || value === '0' ? false : null;
  },
  write: (value) => value,
};

/** An address to listen at: port 0 means a free port. */
export const listenAddress: Kind<HostPort> = hostPort('HOST:PORT such as 127.0.0.1:9090 or [::1]:9090 (port 0: a free one)', 0);

/** An address to connect to. */
export const dialAddress: Kind<HostPort> = hostPort('HOST:PORT such as proxy.example.com:9080 or [::1]:9080', 1);

export const routeName: Kind<string> = {
  expected: ROUTE_NAME_EXPECTED,
  placeholder: 'NAME',
  read: (value) => (typeof value === 'string' ? validRouteName(value) : null),
  write: (value) => value,
};

export const routeKey: Kind<string> = checked('KEY', KEY_EXPECTED, isKey);

/** A command: a program and its arguments, passed to the kernel unchanged. As text it is JSON. */
export const argumentVector: Kind<readonly string[]> = {
  expected: 'a program and its arguments as a JSON list of texts, such as ["docker", "run", "my-app"]',
  placeholder: 'ARGV',
  read(value) {
    const list = typeof value === 'string' ? parseJson(value) : value;
    if (!Array.isArray(list) || list.length === 0 || list.length > ARGUMENTS_MAX || list[0] === '') return null;
    const texts = list.every((one): one is string => typeof one === 'string' && !one.includes('\0'));
    return texts && JSON.stringify(list).length <= ARGUMENT_CHARS_MAX ? Object.freeze([...list]) : null;
  },
  write: (value) => JSON.stringify(value),
};

/** A path. It is checked when it is read. */
export const filePath: Kind<string> = text('FILE', 'the path of a file');

export const directoryPath: Kind<string> = text('DIRECTORY', 'the path of a directory');

export const routeFiles: Kind<string> = text('FILE|DIRECTORY', 'the path of a file or directory');

/** A limit that the linker searches for, in a range; `most` null: up to the most that is allowed. */
export interface SearchedLimit {
  readonly least: number;
  readonly most: number | null;
}

/** How many requests an application gets at once. */
export const concurrency: Kind<number | SearchedLimit> = {
  expected: 'a whole number from 0 to 1000000, auto, or auto:MIN-MAX such as auto:2-64',
  placeholder: 'N|auto|auto:MIN-MAX',
  read(value) {
    const number = whole(0, 1_000_000).read(value);
    if (number !== null || typeof value !== 'string') return number;
    if (value.trim() === 'auto') return Object.freeze({ least: 1, most: null });
    const [, least, most] = /^auto:(\d{1,7})-(\d{1,7})$/.exec(value.trim()) ?? [];
    const range = { least: Number(least), most: Number(most) };
    return range.least >= 1 && range.most >= range.least && range.most <= 1_000_000 ? Object.freeze(range) : null;
  },
  write: (value) => (typeof value === 'number' ? value : value.most === null ? 'auto' : `auto:${value.least}-${value.most}`),
};

/** How many instances an agent runs. */
export interface InstanceRange {
  readonly least: number;
  readonly most: number;
}

export const instanceRange: Kind<InstanceRange> = {
  expected: `MIN-MAX such as 0-8, at most ${AGENT_ROOM_MAX}`,
  placeholder: 'MIN-MAX',
  read(value) {
    const [, least, most] = (typeof value === 'string' && /^(\d{1,4})-(\d{1,4})$/.exec(value.trim())) || [];
    const range = { least: Number(least), most: Number(most) };
    return range.most >= 1 && range.most >= range.least && range.most <= AGENT_ROOM_MAX ? Object.freeze(range) : null;
  },
  write: ({ least, most }) => `${least}-${most}`,
};

/** Where a control socket is: a path, or an address for an application that does not see this file system. */
export const controlPlace: Kind<string | HostPort> = {
  expected: 'the path of a socket that is not there yet, such as /run/app/control, or HOST:PORT (port 0: a free one)',
  placeholder: 'PATH|HOST:PORT',
  read(value) {
    if (typeof value !== 'string' || value === '' || value.includes('\0')) return null;
    return value.includes('/') ? value : (parseHostPort(value) ?? value);
  },
  write: (value) => (typeof value === 'string' ? value : formatHostPort(value)),
};

export const nodeId: Kind<string> = checked('NAME', 'letters, digits, dots, hyphens and underscores, at most 64', isOperatorsNodeId);

export const startId: Kind<string> = checked('ID', 'lower-case letters and digits, at most 64', isStartId);

/** Where Redis is: one server, several nodes of a Redis Cluster, or Sentinels. */
export const redisUrls: Kind<string> = {
  expected:
    'redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or rediss:// for TLS; several, separated by commas, for Redis Cluster; redis-sentinel://HOST:PORT,HOST:PORT/NAME for Sentinel, with ?sentinel-password=PASSWORD where the Sentinels have one',
  placeholder: 'URL',
  read: (value) => (typeof value === 'string' && parseRedisUrl(value) !== null ? value : null),
  write: (value) => value,
};

export interface Rate {
  readonly count: number;
  readonly durationMs: number;
}

/** A number in a time: `10/1s`. */
export const rate: Kind<Rate> = {
  expected: 'a number and a time, such as 10/1s or 100/1m',
  placeholder: 'N/DURATION',
  read(value) {
    const match = typeof value === 'string' ? /^(\d{1,6})\/(.+)$/.exec(value.trim()) : null;
    const count = Number(match?.[1] ?? 0);
    const durationMs = parseDuration(match?.[2] ?? '') ?? 0;
    return count >= 1 && durationMs >= 1 && durationMs <= LONGEST_TIMER_MS ? Object.freeze({ count, durationMs }) : null;
  },
  write: ({ count, durationMs }) => `${count}/${formatDuration(durationMs)}`,
};

/** `auto` follows what the scheduler takes. */
export const startRate: Kind<Rate | 'auto'> = {
  expected: 'auto, or a number and a time, such as 10/1s or 100/1m',
  placeholder: 'auto|N/DURATION',
  read: (value) => (value === 'auto' ? value : rate.read(value)),
  write: (value) => (value === 'auto' ? value : rate.write(value)),
};

/** As text it is JSON, or the rules with commas between them. `canonical` writes a rule in the one way; null: it is none. */
export function ruleList(expected: string, rulesMax: number, canonical: (text: string) => string | null): Kind<readonly string[]> {
  return {
    expected,
    placeholder: 'LIST',
    read(value) {
      const isJson = typeof value === 'string' && value.trimStart().startsWith('[');
      const list = typeof value !== 'string' ? value : isJson ? parseJson(value) : value.split(',');
      if (!Array.isArray(list) || list.length === 0 || list.length > rulesMax) return null;
      const rules = list.map((one: unknown) => (typeof one === 'string' ? canonical(one.trim()) : null));
      return rules.every((one) => one !== null) ? Object.freeze(rules) : null;
    },
    write: (value) => JSON.stringify(value),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function hostPort(expected: string, minPort: number): Kind<HostPort> {
  return {
    expected,
    placeholder: 'HOST:PORT',
    read(value) {
      const parsed = typeof value === 'string' ? parseHostPort(value) : null;
      return parsed !== null && parsed.port >= minPort ? parsed : null;
    },
    write: formatHostPort,
  };
}

/** A problem in the form that all problems have: the key, the value and what was expected. */
export function problem(key: string, value: unknown, expected: string): string {
  return `${key} ${quote(value)}: expected ${expected}`;
}

function quote(value: unknown): string {
  // A URL may carry a password.
  const quoted = (JSON.stringify(value) ?? String(value))
    .replace(/(\/\/[^:@/\s]*):[^@/\s]*@/g, '$1:***@')
    .replace(/(sentinel-password=)[^&\s"]*/g, '$1***');
  return quoted.length > 200 ? `${quoted.slice(0, 200)}…` : quoted;
}

function isOperatorsNodeId(value: unknown): value is string {
  return isNodeId(value) && value.length <= NODE_ID_CHARS_MAX;
}
