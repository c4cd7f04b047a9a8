/** Linkers under test: each runs in this process and is ended after its test. */
import { Writable } from 'node:stream';
import pino from 'pino';
import { Linker } from '../../../src/linker/linker.ts';
import type { LinkerOptions } from '../../../src/linker/linker-options.ts';
import type { Log } from '../../../src/log.ts';
import { SECRET } from './fake-node.ts';

export const ROUTE = 'app.example.com';

const running = new Set<RunningLinker>();

/** For `afterEach`: drained twice, so at once. */
export async function endLinkers(): Promise<void> {
  const all = [...running];
  for (const { linker } of all) {
    linker.drain();
    linker.drain();
  }
  await Promise.all(all.map(({ exit }) => exit));
}

export class RunningLinker {
  readonly linker: Linker;
  readonly exit: Promise<number>;
  readonly lines: Record<string, unknown>[] = [];
  code: number | null = null;

  constructor(options: Partial<LinkerOptions> & Pick<LinkerOptions, 'proxies'>) {
    this.linker = new Linker({
      route: ROUTE,
      concurrency: 4,
      secret: SECRET,
      env: { PATH: process.env.PATH },
      log: this.#log(),
      ...options,
    });
    running.add(this);
    this.exit = this.linker.run().then((code) => {
      running.delete(this);
      this.code = code;
      return code;
    });
  }

  said(msg: string): Record<string, unknown>[] {
    return this.lines.filter((line) => line.msg === msg);
  }

  #log(): Log {
    const lines = this.lines;
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>);
        done();
      },
    });
    return pino({ level: 'debug' }, sink);
  }
}
