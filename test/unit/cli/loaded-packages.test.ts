/** What a command loads before it runs: that is most of its start. What it may never need is imported where it is needed. */
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const SRC = fileURLToPath(new URL('../../../src', import.meta.url));

interface Loaded {
  readonly packages: readonly string[];
  /** Rooms of src, without what each command needs: cli, config and the files beside the rooms. */
  readonly rooms: readonly string[];
  /** How many modules of ours at most. */
  readonly modulesMax: number;
}

const SERVER = ['@fastify/swagger', 'fastify', 'nanoid', 'pino', 'prom-client'];
const QUEUE = ['bullmq', 'ioredis', 'nanoid', 'pino'];
const REDIS = ['ioredis', 'pino'];

const COMMANDS: Readonly<Record<string, Loaded>> = {
  'cli/main.ts': { packages: ['pino'], rooms: [], modulesMax: 12 },
  'cli/linker-bundle.ts': { packages: ['nanoid', 'pino'], rooms: ['link', 'linker', 'memory'], modulesMax: 130 },
  // Redis, its queue and tracing are loaded where they are asked for.
  'cli/commands/node.ts': { packages: SERVER, rooms: ['admin', 'cluster', 'events', 'link', 'memory', 'node', 'workers'], modulesMax: 340 },
  'cli/workers/worker.ts': {
    packages: ['nanoid', 'pino'],
    rooms: ['admin', 'cluster', 'events', 'link', 'memory', 'node', 'workers'],
    modulesMax: 310,
  },
  'cli/commands/dev.ts': {
    packages: SERVER,
    rooms: ['admin', 'cluster', 'events', 'link', 'linker', 'memory', 'node', 'scaling'],
    modulesMax: 380,
  },
  'cli/commands/scaler.ts': {
    packages: [...SERVER, 'bullmq', 'ioredis'].toSorted(),
    rooms: ['admin', 'cluster', 'events', 'memory', 'node', 'scaling'],
    modulesMax: 170,
  },
  'cli/commands/status.ts': { packages: QUEUE, rooms: ['admin', 'cluster', 'events', 'memory', 'scaling'], modulesMax: 135 },
  'cli/commands/route.ts': { packages: QUEUE, rooms: ['admin', 'cluster', 'events', 'memory', 'scaling'], modulesMax: 115 },
  'cli/commands/jobs.ts': { packages: QUEUE, rooms: ['cluster', 'events', 'memory', 'scaling'], modulesMax: 115 },
  'cli/commands/logs.ts': { packages: QUEUE, rooms: ['admin', 'cluster', 'events', 'memory', 'scaling'], modulesMax: 115 },
  'cli/commands/inspect.ts': { packages: QUEUE, rooms: ['admin', 'cluster', 'events', 'memory', 'scaling'], modulesMax: 140 },
  'cli/commands/events.ts': { packages: REDIS, rooms: ['cluster', 'events', 'memory'], modulesMax: 105 },
  'cli/commands/forget.ts': { packages: REDIS, rooms: ['cluster', 'events', 'memory'], modulesMax: 110 },
  'cli/commands/reload.ts': { packages: REDIS, rooms: ['cluster', 'events', 'memory'], modulesMax: 105 },
  'cli/commands/drain.ts': { packages: REDIS, rooms: ['cluster', 'events', 'memory'], modulesMax: 105 },
  'cli/commands/doctor.ts': { packages: REDIS, rooms: ['cluster', 'events', 'linker', 'memory', 'node'], modulesMax: 130 },
  'cli/commands/completion.ts': { packages: [], rooms: [], modulesMax: 60 },
  'cli/commands/health.ts': { packages: [], rooms: [], modulesMax: 40 },
  'pull/pull.ts': {
    packages: ['@remix-run/node-fetch-server', 'nanoid', 'pino'],
    rooms: ['link', 'linker', 'memory', 'pull'],
    modulesMax: 120,
  },
};

test('every command has a row', () => {
  const main = readFileSync(join(SRC, 'cli/main.ts'), 'utf8');
  const imported = [...main.matchAll(/import\('\.\/([^']+)'\)/g)].map(([, path]) => `cli/${path}`);
  expect(imported.length).toBeGreaterThan(15);
  // A linker has its own entry.
  expect(imported.filter((path) => COMMANDS[path] === undefined)).toEqual(['cli/commands/linker.ts']);
});

test.each(Object.entries(COMMANDS))('%s loads what it needs, and nothing else', (entry, { packages, rooms, modulesMax }) => {
  const modules = new Set<string>();
  const found = new Set<string>();
  load(join(SRC, entry), modules, found);
  const inRooms = [...modules].map((path) => relative(SRC, path).split('/')[0] ?? '');
  const isShared = (room: string): boolean => room.endsWith('.ts') || room === 'cli' || room === 'config';
  expect([[...found].toSorted(), [...new Set(inRooms)].filter((room) => !isShared(room)).toSorted()]).toEqual([packages, rooms]);
  expect(modules.size).toBeLessThan(modulesMax);
});

/** Adds `file` and all that it imports where it begins. */
function load(file: string, modules: Set<string>, packages: Set<string>): void {
  if (modules.has(file)) return;
  modules.add(file);
  for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(/^(?:import (?!type )|\} from )[^;]*?'([^']+)';/gm)) {
    if (name.startsWith('.')) load(join(dirname(file), name), modules, packages);
    else if (!name.startsWith('node:')) packages.add(name);
  }
}
