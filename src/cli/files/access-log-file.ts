/** The file of the access log. It may be moved away while it is written (logrotate), and another one takes its place. */
import { statSync } from 'node:fs';
import { unawaited } from '../../boundary.ts';
import { problem } from '../../config/kinds.ts';
import { ConfigError, messageOf } from '../../errors.ts';
import { type LineFile, type Log, openLineFile } from '../../log.ts';
import type { Prepared } from './reloadable.ts';

export class AccessLogFile {
  readonly #log: Log;
  #target: string;
  #lines: LineFile;
  #identity: string;
  /** Lines that former files had no room for. */
  #droppedBefore = 0;

  /** @throws ConfigError when it can't be written */
  constructor(target: string, log: Log) {
    this.#log = log;
    this.#target = target;
    this.#lines = this.#open(target);
    this.#identity = identityOf(target);
  }

  write(line: string): void {
    this.#lines.write(line);
  }

  get dropped(): number {
    return this.#droppedBefore + this.#lines.dropped;
  }

  close(): Promise<void> {
    return this.#lines.close();
  }

  /** Opens the file that has the name now. Lines that wait for the former one are written there. @throws ConfigError when it can't be written */
  prepare(target: string): Prepared {
    const isSame = target === this.#target && identityOf(target) === this.#identity;
    if (isSame) return { outcomes: new Map([['access-log', 'unchanged']]), apply() {} };
    const lines = this.#open(target);
    const identity = identityOf(target);
    return {
      outcomes: new Map([['access-log', 'changed']]),
      apply: () => {
        const former = this.#lines;
        const dropped = former.dropped;
        this.#droppedBefore += dropped;
        this.#lines = lines;
        this.#target = target;
        this.#identity = identity;
        const closed = former.close().then(() => {
          this.#droppedBefore += former.dropped - dropped;
        });
        unawaited('file', closed);
      },
      discard: () => unawaited('file', lines.close()),
    };
  }

  #open(target: string): LineFile {
    try {
      return openLineFile(target === 'stdout' ? target : { path: target }, (error) =>
        this.#log.error({ err: error, file: target }, 'the access log can not be written'),
      );
    } catch (error) {
      const why = messageOf(error);
      throw new ConfigError([problem('--access-log', target, `a file that can be written (${why})`)]);
    }
  }
}

/** The identity of the file that has the name now. */
function identityOf(target: string): string {
  if (target === 'stdout') return target;
  const stat = statSync(target, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.dev} ${stat.ino}`;
}
