import { AccessLog, type AccessLogOptions } from '../../src/node/visits/access-log.ts';
import { eventually } from './eventually.ts';

export type AccessLine = Readonly<Record<string, unknown>> & { readonly end: string };

/** An access log whose lines a test reads. */
export class AccessLines {
  readonly written: AccessLine[] = [];
  readonly log: AccessLog;
  #taken = 0;

  constructor(over: Partial<AccessLogOptions> = {}) {
    this.log = new AccessLog({ node: 'n1', sample: 1, write: (line) => void this.written.push(JSON.parse(line) as AccessLine), ...over });
  }

  /** The next line that nobody has taken yet. */
  async next(): Promise<AccessLine> {
    await eventually('another line of the access log', () => this.written.length > this.#taken);
    return this.written[this.#taken++] as AccessLine;
  }

  /** How many nobody has taken. */
  get left(): number {
    return this.written.length - this.#taken;
  }
}
