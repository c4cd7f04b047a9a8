/** Holds the house's plan: who may import whom, and that a file stays one that can be read in a sitting. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LINES_MAX = 400;
const LINES_USUAL = 250;

/** Rooms of src/ → which other rooms they may look into. A path instead of a room opens that file alone. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  'log.ts': ['printable.ts', 'repeated-lines.ts'],
  'bind.ts': [],
  'printable.ts': [],
  'repeated-lines.ts': [],
  'boundary.ts': ['log.ts'],
  memory: [],
  config: ['errors.ts', 'log.ts'],
  link: [
    'errors.ts',
    'log.ts',
    'boundary.ts',
    'memory',
    'config/agent-limits.ts',
    'config/host-port.ts',
    'config/ids.ts',
    'config/route-key.ts',
    'config/route-name.ts',
    'config/tls-options.ts',
  ],
  events: ['log.ts', 'boundary.ts', 'printable.ts', 'memory/bounded-map.ts'],
  cluster: [
    'errors.ts',
    'log.ts',
    'boundary.ts',
    'memory/bounded-map.ts',
    'memory/churn-map.ts',
    'memory/heap.ts',
    'config',
    'events/event.ts',
  ],
  scaling: ['errors.ts', 'log.ts', 'boundary.ts', 'config', 'cluster'],
  node: [
    'bind.ts',
    'errors.ts',
    'log.ts',
    'boundary.ts',
    'memory',
    'config',
    'link',
    'cluster/agents.ts',
    'cluster/cluster.ts',
    'cluster/fair-order.ts',
    'cluster/history.ts',
    'cluster/wait-estimate.ts',
    'cluster/waits.ts',
  ],
  linker: ['errors.ts', 'log.ts', 'boundary.ts', 'memory', 'config', 'link'],
  discovery: ['errors.ts', 'log.ts', 'boundary.ts', 'memory/bounded-map.ts', 'config', 'link/connect.ts', 'cluster/directory.ts', 'linker'],
  admin: ['errors.ts', 'log.ts', 'boundary.ts', 'config', 'cluster/cluster.ts', 'cluster/history.ts', 'scaling/startup-job.ts', 'events'],
  workers: ['errors.ts', 'log.ts', 'boundary.ts'],
  tracing: ['errors.ts', 'log.ts', 'boundary.ts', 'node/visits/visit-record.ts'],
  pull: ['errors.ts', 'log.ts', 'boundary.ts', 'config', 'linker'],
  cli: [
    'bind.ts',
    'errors.ts',
    'log.ts',
    'boundary.ts',
    'config',
    'link',
    'cluster',
    'scaling',
    'node',
    'linker',
    'discovery',
    'admin',
    'workers',
    'tracing',
    'events',
    'printable.ts',
  ],
};

/** Rooms inside a room → which of their neighbours they may look into. Files that lie beside them put them together, and may use all. */
const INNER_ARROWS: Readonly<Record<string, readonly string[]>> = {
  'cluster/member': ['cluster'],
  'cluster/memory': ['cluster', 'cluster/member'],
  'cluster/redis': ['cluster', 'cluster/member'],
  'config/commands': ['config'],
  'discovery/docker': ['discovery'],
  'discovery/kubernetes': ['discovery'],
  'cli/commands': [
    'cli/agent',
    'cli/completion',
    'cli/dev',
    'cli/doctor',
    'cli/files',
    'cli/help',
    'cli/node',
    'cli/process',
    'cli/scaler',
    'cli/terminal',
    'cli/workers',
  ],
  'cli/agent': ['cli/process'],
  'cli/workers': ['cli/files', 'cli/node', 'cli/process'],
  'cli/node': ['cli/files', 'cli/scaler'],
  'cli/completion': [],
  'cli/dev': ['cli/terminal'],
  'cli/doctor': ['cli/files'],
  'cli/files': [],
  'cli/help': [],
  'cli/process': [],
  'cli/scaler': [],
  'cli/terminal': [],
  'node/listeners': ['node/clients', 'node/http1', 'node/http2', 'node/matching', 'node/visits'],
  'node/http2': ['node/clients', 'node/http1', 'node/matching', 'node/visits'],
  'node/http1': ['node/clients', 'node/matching', 'node/visits'],
  'node/keys': ['node/matching'],
  'node/lenders': ['node/handoff', 'node/matching'],
  'node/handoff': ['node/matching'],
  'node/visits': ['node/matching'],
  'node/matching': [],
  'node/clients': ['node/visits'],
};

/** Each of these is used in one place. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  '@fastify/swagger': ['admin/'],
  '@opentelemetry/api': ['tracing/'],
  '@remix-run/node-fetch-server': ['pull/'],
  '@opentelemetry/exporter-trace-otlp-proto': ['tracing/'],
  '@opentelemetry/resources': ['tracing/'],
  '@opentelemetry/sdk-trace-base': ['tracing/'],
  bullmq: ['scaling/startup-queue.ts', 'scaling/startup-job-reader.ts', 'scaling/scaler.ts', 'scaling/starter.ts'],
  fastify: ['admin/'],
  ioredis: ['cluster/redis/'],
  pino: ['log.ts'],
  'prom-client': ['admin/'],
  undici: ['node/http1/'],
  yaml: ['config/'],
};

/** Where the environment is read. */
const ENVIRONMENT = ['config/'];

interface Source {
  /** Relative to src/. */
  readonly path: string;
  readonly text: string;
  /** Relative to src/, for our own; the package's name for others. */
  readonly ours: readonly string[];
  readonly packages: readonly string[];
}

const sources = filesBelow('src', '.ts').map(readSource);

describe('imports', () => {
  test('every room of src/ is in the plan', () => {
    expect(Object.keys(ARROWS)).toEqual(expect.arrayContaining([...new Set(sources.map(({ path }) => roomOf(path)))]));
    const inner = new Set(
      sources.map(({ path }) => innerRoomOf(path)).filter((room) => /^(node|cluster|cli|config|discovery)\//.test(room)),
    );
    expect(Object.keys(INNER_ARROWS).sort()).toEqual([...inner].sort());
  });

  test('follow the arrows', () => {
    const wrong = sources.flatMap(({ path, ours }) =>
      ours.filter((target) => !mayImport(path, target)).map((target) => `${path} → ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test('follow the arrows between the rooms inside a room', () => {
    const wrong = sources.flatMap(({ path, ours }) =>
      ours.filter((target) => !mayImportInside(path, target)).map((target) => `${path} → ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test('make no cycle between the rooms inside a room', () => {
    const arrows = sources.map(({ path, ours }) => [innerRoomOf(path), ours.map(innerRoomOf)] as const);
    const rooms = new Map([...new Set(arrows.map(([room]) => room))].filter(isInner).map((room) => [room, new Set<string>()]));
    for (const [room, targets] of arrows)
      for (const target of targets) if (target !== room && isInner(target)) rooms.get(room)?.add(target);
    expect(cycles(new Map([...rooms].map(([room, targets]) => [room, [...targets]])))).toEqual([]);
    // What is allowed makes none either, so that the next import can't begin one.
    expect(cycles(new Map(Object.entries(INNER_ARROWS).map(([room, targets]) => [room, targets.filter(isInner)])))).toEqual([]);
  });

  test('make no cycle', () => {
    expect(cycles(new Map(sources.map(({ path, ours }) => [path, ours])))).toEqual([]);
  });

  test('name a package in its one place only', () => {
    const wrong = sources.flatMap(({ path, packages }) =>
      packages.filter((name) => !isAmong(path, PACKAGES[name] ?? [path])).map((name) => `${path} → ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('the maps in src/README.md', () => {
  const guide = readFileSync(join(ROOT, 'src/README.md'), 'utf8');

  test('show the arrows between the rooms, dotted where only some files are open', () => {
    const isRoom = (name: string): boolean => !name.endsWith('.ts');
    const plan = Object.entries(ARROWS).flatMap(([room, opens]) => {
      const targets = isRoom(room) ? new Set(opens.map(roomOf).filter(isRoom)) : new Set<string>();
      return [...targets].map((target) => `${room} ${opens.includes(target) ? '-->' : '-.->'} ${target}`);
    });
    expect(drawnArrows(guide, 'rooms')).toEqual(plan.sort());
  });

  test.each(['node', 'cluster', 'cli'])('show the arrows inside %s', (outer) => {
    const inside = (room: string): string => room.replace(`${outer}/`, '');
    const plan = Object.entries(INNER_ARROWS).flatMap(([room, targets]) =>
      room.startsWith(`${outer}/`) ? targets.map((target) => `${inside(room)} --> ${inside(target)}`) : [],
    );
    expect(drawnArrows(guide, outer)).toEqual(plan.sort());
  });
});

describe('files', () => {
  test(`have at most ${LINES_MAX} lines, nine of ten at most ${LINES_USUAL}`, () => {
    const all = [...sources, ...filesBelow('test', '.ts').map(readSource)].map(({ path, text }) => ({
      path,
      lines: text.split('\n').length,
    }));
    expect(all.filter(({ lines }) => lines > LINES_MAX)).toEqual([]);
    const long = all.filter(({ lines }) => lines > LINES_USUAL).map(({ path, lines }) => `${path}: ${lines}`);
    expect(long.slice(Math.floor(all.length / 10))).toEqual([]);
  });

  test('are named after what they hold, and hold more than what others export', () => {
    const vague = /(^|\/)(index|utils?|helpers?|common|misc|shared)(\/|\.|$)/;
    expect(sources.filter(({ path }) => vague.test(path)).map(({ path }) => path)).toEqual([]);
    expect(sources.filter(({ text }) => /^export (type )?\*/m.test(text)).map(({ path }) => path)).toEqual([]);
  });

  test('read the environment where it belongs', () => {
    const wrong = sources.filter(({ path, text }) => /\bprocess\.env\b/.test(text) && !isAmong(path, ENVIRONMENT));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test('leave nothing for later', () => {
    expect(sources.filter(({ text }) => /\b(TODO|FIXME|XXX)\b/.test(text)).map(({ path }) => path)).toEqual([]);
  });
});

test('a cycle would be found', () => {
  const graph = new Map([
    ['a.ts', ['b.ts']],
    ['b.ts', ['c.ts']],
    ['c.ts', ['b.ts']],
  ]);
  expect(cycles(graph)).toEqual(['b.ts → c.ts → b.ts']);
});

/** The arrows of the drawing whose comment is `name`. */
function drawnArrows(guide: string, name: string): string[] {
  const drawing = guide.split('```').find((block) => block.startsWith('mermaid') && block.includes(`%% ${name}\n`)) ?? '';
  return [...drawing.matchAll(/^ +(\w+ -\.?-> \w+)$/gm)].map(([, arrow]) => arrow ?? '').sort();
}

function filesBelow(folder: string, ending: string): string[] {
  const entries = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return entries.filter((entry) => entry.endsWith(ending)).map((entry) => join(ROOT, folder, entry));
}

function readSource(file: string): Source {
  const text = readFileSync(file, 'utf8');
  const specifiers = [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map(([, specifier]) => specifier ?? '');
  const ours = specifiers.filter((name) => name.startsWith('.')).map((name) => relative(join(ROOT, 'src'), join(dirname(file), name)));
  const packages = specifiers.filter((name) => !/^(\.|node:)/.test(name)).map((name) => name.replace(/^((?:@[^/]+\/)?[^/]+).*/, '$1'));
  return { path: relative(join(ROOT, 'src'), file), text, ours, packages };
}

function roomOf(path: string): string {
  return path.split('/')[0] ?? basename(path);
}

function mayImport(path: string, target: string): boolean {
  const room = roomOf(path);
  if (room === roomOf(target)) return true;
  return (ARROWS[room] ?? []).some((open) => target === open || target.startsWith(`${open}/`));
}

/** `node/listeners/tcp.ts` → `node/listeners`, `node/node.ts` → `node`. */
function innerRoomOf(path: string): string {
  return path
    .split('/')
    .slice(0, 2)
    .join('/')
    .replace(/\/[^/]+\.ts$/, '');
}

/** Not the files beside the rooms, which put them together. */
function isInner(room: string): boolean {
  return room.includes('/') && room in INNER_ARROWS;
}

function mayImportInside(path: string, target: string): boolean {
  const [from, to] = [innerRoomOf(path), innerRoomOf(target)];
  if (from === to || roomOf(path) !== roomOf(target) || from === roomOf(path)) return true;
  return INNER_ARROWS[from]?.includes(to) ?? false;
}

function isAmong(path: string, places: readonly string[]): boolean {
  return places.some((place) => path === place || (place.endsWith('/') && path.startsWith(place)));
}

/** Depth first: an edge to a file that is still open closes a cycle. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const open: string[] = [];
  const visit = (path: string): void => {
    if (open.includes(path)) found.push([...open.slice(open.indexOf(path)), path].join(' → '));
    else if (!done.has(path)) {
      open.push(path);
      for (const target of graph.get(path) ?? []) visit(target);
      open.pop();
      done.add(path);
    }
  };
  for (const path of graph.keys()) visit(path);
  return found;
}
