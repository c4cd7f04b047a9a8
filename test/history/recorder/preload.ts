/**
 * Records what a node or a linker does, for `node --import THIS src/cli/main.ts node|linker ...`. It listens at seams that the code has anyway, from
 * outside: without it there is not a line of it in the product, so being off costs nothing. HISTORY_DIR: where to; HISTORY_SRC: the code that runs,
 * if it is a copy.
 */
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { VisitRecord } from '../../../src/node/visits/visit-record.ts';
import { servedName } from '../world/routes.ts';
import { HistoryFile } from './history-file.ts';

const { HISTORY_DIR = 'history', HISTORY_SRC = fileURLToPath(new URL('../../../src', import.meta.url)) } = process.env;
const [, , command, ...words] = process.argv;

if (command === 'node') await recordNode();
else if (command === 'linker') await recordLinker();

function after(flag: string): string {
  return words[words.indexOf(flag) + 1] ?? '';
}

function source<T>(path: string): Promise<T> {
  return import(pathToFileURL(join(HISTORY_SRC, path)).href) as Promise<T>;
}

/** The access log is told of each visit: here of all its steps. Needs --access-log. */
async function recordNode(): Promise<void> {
  const file = new HistoryFile(HISTORY_DIR, 'node', after('--id'));
  const { AccessLog } = await source<typeof import('../../../src/node/visits/access-log.ts')>('node/visits/access-log.ts');
  const idOf = (record: VisitRecord): string | null => record.facts.head?.field('x-request-id') ?? null;
  const ended = AccessLog.prototype.ended;
  Object.assign(AccessLog.prototype, {
    held(record: VisitRecord): void {
      const id = idOf(record);
      if (id !== null) file.add({ e: 'held', id, route: record.route ?? '' });
    },
    opened(record: VisitRecord): void {
      const id = idOf(record);
      const lender = record.stream?.lender;
      if (id === null || lender === undefined) return;
      const { instance, relayed } = lender;
      const attempt = record.streams.length;
      file.add({ e: 'opened', id, route: record.route ?? '', instance, attempt, ...(relayed ? { relayed } : {}) });
    },
    ended(this: InstanceType<typeof AccessLog>, record: VisitRecord): void {
      const id = idOf(record);
      const { status, endedBy, phase, reason } = record;
      if (id !== null) file.add({ e: 'over', id, status, end: endedBy + phase, ...(reason === null ? {} : { reason }) });
      ended.call(this, record);
    },
  });
}

async function recordLinker(): Promise<void> {
  const file = new HistoryFile(HISTORY_DIR, 'linker', process.env.PULLPROXY_START_ID ?? String(process.pid));
  const route = servedName(after('--route'), process.env.PULLPROXY_KEY);
  const { Linker } = await source<typeof import('../../../src/linker/linker.ts')>('linker/linker.ts');
  const { Links } = await source<typeof import('../../../src/linker/links.ts')>('linker/links.ts');
  let instance = '';
  const run = Linker.prototype.run;
  Linker.prototype.run = function (this: InstanceType<typeof Linker>): Promise<number> {
    instance = this.instance;
    return run.call(this);
  };
  const tell = (method: 'lend' | 'withhold' | 'leave' | 'close', e: 'lends' | 'withholds' | 'leaves' | 'gone'): void => {
    const original = Links.prototype[method] as (reason?: string) => void;
    Links.prototype[method] = function (this: InstanceType<typeof Links>, reason?: string): void {
      file.add({ e, instance, route });
      original.call(this, reason);
    };
  };
  tell('lend', 'lends');
  tell('withhold', 'withholds');
  tell('leave', 'leaves');
  tell('close', 'gone');
}
