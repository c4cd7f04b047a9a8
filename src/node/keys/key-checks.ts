/**
 * Asks a route's `keyCheck` whether a key exists, before anything is started for it. The node asks: a URL by GET, or a command where the operator of
 * the node allows that. Strangers may ask for any keys: answers are kept for a while, both ways, and the number of questions at once is limited.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { guard } from '../../boundary.ts';
import { isUrl } from '../../config/key-source.ts';
import { nameParts, routeOf, slugOf } from '../../config/route-key.ts';
import type { Log } from '../../log.ts';
import { BoundedMap } from '../../memory/bounded-map.ts';
import { Turns } from './turns.ts';

/** `unknown`: nothing answered, or nothing that could be read. */
export type KeyAnswer = 'yes' | 'no' | 'unknown';

/** For how long an answer counts. */
export const KEPT_MS: Readonly<Record<KeyAnswer, number>> = { yes: 30_000, no: 10_000, unknown: 1_000 };
export const ANSWERS_MAX = 10_000;
/** Questions at once; more wait for their turn, and of those that find no place the answer is not known. */
export const RUNNING_MAX = 32;
export const WAITING_MAX = 1_000;
export const CHECK_TIMEOUT_MS = 5_000;

interface Kept {
  readonly check: string;
  readonly answer: KeyAnswer;
  /** performance.now() in ms. */
  readonly until: number;
}

export interface KeyChecksOptions {
  /** Commands of routes may be run: everybody who can set a route can then run programs as this user. */
  readonly allowCommands: boolean;
  readonly timeoutMs?: number;
  readonly log: Log;
}

export class KeyChecks {
  readonly #options: KeyChecksOptions;
  readonly #kept = new BoundedMap<string, Kept>(ANSWERS_MAX);
  readonly #asking = new Map<string, Promise<KeyAnswer>>();
  readonly #turns = new Turns(RUNNING_MAX, WAITING_MAX);

  constructor(options: KeyChecksOptions) {
    this.#options = options;
  }

  /** `name`: of the key with its route. Never rejects. */
  async ask(name: string, check: readonly string[]): Promise<KeyAnswer> {
    const said = JSON.stringify(check);
    const kept = this.#kept.get(name);
    if (kept !== undefined && kept.check === said && performance.now() < kept.until) return kept.answer;
    const question = `${name} ${said}`;
    const running = this.#asking.get(question) ?? this.#begin(name, check, said).finally(() => this.#asking.delete(question));
    this.#asking.set(question, running);
    return running;
  }

  async #begin(name: string, check: readonly string[], said: string): Promise<KeyAnswer> {
    if (!(await this.#turns.begin())) return 'unknown';
    let answer: KeyAnswer = 'unknown';
    try {
      answer = await this.#answer(name, check);
    } finally {
      this.#turns.end();
    }
    this.#kept.set(name, { check: said, answer, until: performance.now() + KEPT_MS[answer] });
    return answer;
  }

  async #answer(name: string, check: readonly string[]): Promise<KeyAnswer> {
    const { allowCommands, timeoutMs = CHECK_TIMEOUT_MS, log } = this.#options;
    const route = routeOf(name);
    try {
      if (isUrl(check)) return await askUrl(filled(check[0] ?? '', name, encodeURIComponent), timeoutMs);
      if (allowCommands) {
        const argv = check.map((argument) => filled(argument, name, String));
        return await runCheck(argv, name, timeoutMs);
      }
      log.warn({ route }, 'keyCheck is a command, and this node does not run commands of routes (--allow-key-commands)');
    } catch (error) {
      log.warn({ route, reason: error instanceof Error ? error.message : String(error) }, 'keyCheck gave no answer');
    }
    return 'unknown';
  }
}

function filled(text: string, name: string, written: (text: string) => string): string {
  const { route, key } = nameParts(name);
  const known: Readonly<Record<string, string>> = { '{route}': route, '{key}': key ?? '', '{slug}': slugOf(name) };
  return text.replace(/\{(?:route|key|slug)\}/g, (placeholder) => written(known[placeholder] ?? ''));
}

/** A redirection is no answer: it would lead this node to where anybody says. */
async function askUrl(url: string, timeoutMs: number): Promise<KeyAnswer> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
  await response.body?.cancel();
  if (response.ok) return 'yes';
  if (response.status >= 400 && response.status < 500 && response.status !== 408 && response.status !== 429) return 'no';
  throw new Error(`the status of its response is ${response.status}`);
}

function runCheck([file = '', ...args]: readonly string[], name: string, timeoutMs: number): Promise<KeyAnswer> {
  const { route, key } = nameParts(name);
  const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ROUTE: route, KEY: key ?? '', SLUG: slugOf(name) };
  return new Promise((resolve, reject) => {
    let child: ChildProcess;
    try {
      // A process group of its own: a script may wait for a child.
      child = spawn(file, args, { env, stdio: 'ignore', detached: true });
    } catch (error) {
      reject(error);
      return;
    }
    const overdue = guard('command', () => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    });
    const timer = setTimeout(overdue, timeoutMs);
    const failed = guard('command', (error: Error) => {
      clearTimeout(timer);
      reject(error);
    });
    const ended = guard('command', (code: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(timer);
      if (code === 0) resolve('yes');
      else if (code === 1) resolve('no');
      else reject(new Error(`it ended with ${code ?? signal}`));
    });
    child.once('error', failed);
    child.once('exit', ended);
  });
}
