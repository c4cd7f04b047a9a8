/** The keys of TLS session tickets: from files, which several machines can share, or random and changed from time to time. */
import { readFileSync } from 'node:fs';
import { guard } from '../../boundary.ts';
import { problem } from '../../config/kinds.ts';
import { ConfigError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { TICKET_KEY_BYTES, TicketKeySeries, TicketKeys } from '../../node/listeners/ticket-keys.ts';
import { digestOf, outcomesOf, type Prepared, type Reloadable, rereadChanged } from './reloadable.ts';

export interface TicketKeyFiles {
  readonly tlsTicketKeys: readonly string[];
}

/** Longer than the lifetime of any ticket (RFC 8446 section 4.6.1: a week at most; OpenSSL: two hours at most). */
const ROTATE_MS = 12 * 3_600_000;

export interface TicketKeySource {
  readonly keys: TicketKeys;
  /** Null: the keys don't come from files. */
  readonly files: Reloadable<TicketKeyFiles> | null;
}

/** Keys of a process that shares them only by files. @throws ConfigError when a file has no key */
export function ticketKeys(files: TicketKeyFiles, log: Log): TicketKeySource {
  const keys = new TicketKeys();
  if (files.tlsTicketKeys.length > 0) return { keys, files: followTicketKeyFiles(files, keys, log) };
  rotateTicketKeys((made) => keys.use(made));
  return { keys, files: null };
}

/** Reads the keys from their files, and again when these change. @throws ConfigError when a file has no key */
export function followTicketKeyFiles(files: TicketKeyFiles, keys: TicketKeys, log: Log): Reloadable<TicketKeyFiles> {
  let current = files.tlsTicketKeys;
  const first = readTicketKeys(files);
  let digest = digestOf([...current, ...first]);
  keys.use(first);
  const prepare = ({ tlsTicketKeys: next }: TicketKeyFiles): Prepared => {
    // From files to keys of its own: who makes those is decided at the start.
    if (next.length === 0) return { outcomes: new Map([['tls-ticket-keys', 'needs_restart']]), apply() {} };
    const read = next.map(readKey);
    const found = digestOf([...next, ...read]);
    const outcomes = outcomesOf({ 'tls-ticket-keys': digest }, { 'tls-ticket-keys': found });
    return {
      outcomes,
      apply() {
        current = next;
        digest = found;
        keys.use(read);
        log.info({ keys: read.length }, 'keys of TLS session tickets reloaded');
      },
    };
  };
  rereadChanged(
    () => current,
    () => prepare({ tlsTicketKeys: current }),
    log,
    'the new keys of TLS session tickets can not be used: the previous ones stay',
  );
  return { prepare };
}

/** Gives keys at once, and new ones from time to time. Does not keep the process alive. */
export function rotateTicketKeys(give: (keys: readonly Buffer[]) => void, everyMs = ROTATE_MS): void {
  const series = new TicketKeySeries();
  give(series.keys);
  const rotate = guard('timer', () => {
    series.rotate();
    give(series.keys);
  });
  setInterval(rotate, everyMs).unref();
}

/** @throws ConfigError when a file has no key */
export function readTicketKeys({ tlsTicketKeys }: TicketKeyFiles): Buffer[] {
  return tlsTicketKeys.map(readKey);
}

function readKey(path: string): Buffer {
  const expected = `a file of ${TICKET_KEY_BYTES} random bytes, as openssl rand ${TICKET_KEY_BYTES} makes it`;
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    throw new ConfigError([problem('--tls-ticket-keys', path, `${expected} (${(error as NodeJS.ErrnoException).code})`)]);
  }
  if (content.length !== TICKET_KEY_BYTES)
    throw new ConfigError([problem('--tls-ticket-keys', path, `${expected}; it has ${content.length}`)]);
  return content;
}
