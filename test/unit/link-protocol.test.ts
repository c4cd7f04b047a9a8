/** What src/link/PROTOCOL.md says is what the code does, and what the conformance kit looks at. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { AGENT_ROOM_MAX, AGENTS_PER_ROUTE_MAX, MACHINE_CHARS_MAX } from '../../src/config/agent-limits.ts';
import { ADDRESS_BYTES_MAX } from '../../src/config/host-port.ts';
import { AGENT_REASON_CHARS_MAX } from '../../src/link/agent-words.ts';
import {
  FRAMES_AT_ONCE,
  FRAMES_PER_SECOND,
  FRAMES_PER_SLOT,
  FRAMES_PER_STREAM,
  REPORTS_AT_ONCE,
  REPORTS_PER_SECOND,
} from '../../src/link/frame-budget.ts';
import {
  FEATURES,
  Flag,
  Frame,
  HANDSHAKE_PAYLOAD_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  PROTOCOL_VERSION,
  ResetCode,
  SAID_BYTES_MAX,
} from '../../src/link/frames.ts';
import { HANDSHAKE_TIMEOUT_MS } from '../../src/link/handshake.ts';
import { CONCURRENCY_MAX, NONCE_CHARS_MIN, ORDER_MAX } from '../../src/link/hello.ts';
import { FAILURE_CHARS_MAX } from '../../src/link/instance-report.ts';
import { LINK_TIMING } from '../../src/link/link.ts';
import { prove, SECRETS_MAX } from '../../src/link/proof.ts';
import { WINDOW_BYTES } from '../../src/link/stream.ts';
import { RULES } from '../conformance/rules.ts';
import { tableOf } from '../support/tables.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('src/link/PROTOCOL.md');
const table = (heading: string): string[][] => tableOf(page, heading);

/** The side that a frame comes from, by the code that takes it. */
function sender(frame: string): string {
  const takes = (text: string): boolean => new RegExp(`(case|===) Frame\\.${frame}\\b`).test(text);
  const [nodeShakes = '', linkerShakes = ''] = read('src/link/handshake.ts').split('export function dialLink');
  if (takes(read('src/link/link.ts'))) return 'both';
  const [atNode = '', atAgent = ''] = read('src/link/agent-links.ts').split('export class AgentLink ');
  const byNode = takes(nodeShakes) || takes(read('src/link/node-link.ts')) || takes(atNode);
  const byLinker = takes(linkerShakes) || takes(read('src/link/linker-link.ts')) || takes(atAgent);
  return byNode && byLinker ? 'both' : byNode ? 'linker' : byLinker ? 'node' : 'nobody';
}

/** The keys that a function takes out of a JSON payload. */
function keysRead(path: string, marker: RegExp): string[] {
  const [, names = ''] = marker.exec(read(path)) ?? [];
  return names.split(',').flatMap((name) => /\w+/.exec(name)?.[0] ?? []);
}

const keysOf = (rows: readonly string[][]): string[] => rows.flatMap(([cell = '']) => cell.replaceAll('`', '').split(', '));

describe('frames', () => {
  const frames = table('| frame | type | from | about | payload | meaning |');

  test('every frame is in the table with its number, and no others', () => {
    expect(frames.map(([name, type]) => [name, Number(type)])).toEqual(Object.entries(Frame));
  });

  test('each frame comes from the side that the table says', () => {
    expect(frames.map(([name, , from]) => [name, from])).toEqual(frames.map(([name = '']) => [name, sender(name)]));
  });

  test('every flag and every reset code is in its table with its value', () => {
    const values = (heading: string): unknown[] => table(heading).map(([name, value]) => [name, Number(value)]);
    expect(values('| flag | value | of | meaning |')).toEqual(Object.entries(Flag));
    expect(values('| reset code | value | meaning |')).toEqual(Object.entries(ResetCode));
  });

  test('every feature is in the table', () => {
    expect(table('| feature | frames | a linker without it |').map(([name]) => name)).toEqual([...FEATURES]);
    expect(page).toContain(`Version ${PROTOCOL_VERSION}.`);
  });
});

test('every key of HELLO and of STATE is in its table, and no others', () => {
  const [hello = '', state = ''] = page.split('## What an instance says about itself');
  const keys = '| key | type | needed | meaning |';
  const sorted = (names: string[]): string[] => names.toSorted();
  expect(sorted(keysOf(tableOf(hello, keys)))).toEqual(
    sorted(
      keysRead('src/link/hello.ts', /const \{([^}]*)\} = value;/)
        .filter((name) => name !== 'can')
        .concat('can'),
    ),
  );
  expect(sorted(keysOf(tableOf(state, keys)))).toEqual(sorted(keysRead('src/link/instance-report.ts', /const \{([^}]*)\} = value;/)));
});

test('every key of what an agent and its node say is in their table, and no others', () => {
  const words = read('src/link/agent-words.ts');
  const taken = [...words.matchAll(/const \{([^}]*)\} = parseJson/g)].flatMap(([, names = '']) =>
    names.split(',').map((name) => name.split(':')[0]?.trim()),
  );
  const said = table("| frame of an agent's link | from | payload | meaning |").flatMap(([, , payload = '']) =>
    payload
      .replace(/^none$|^JSON: /, '')
      .split(', ')
      .filter(Boolean),
  );
  expect([...new Set(said)].toSorted()).toEqual([...new Set(taken)].toSorted());
});

test('every limit has the value that the table says', () => {
  const limits = {
    PAYLOAD_BYTES_MAX,
    HANDSHAKE_PAYLOAD_BYTES_MAX,
    HANDSHAKE_TIMEOUT_MS,
    WINDOW_BYTES,
    PING_AFTER_MS: LINK_TIMING.pingAfterMs,
    DEAD_AFTER_MS: LINK_TIMING.deadAfterMs,
    CONCURRENCY_MAX,
    NONCE_CHARS_MIN,
    ADDRESS_BYTES_MAX,
    ORDER_MAX,
    SAID_BYTES_MAX,
    FAILURE_CHARS_MAX,
    SECRETS_MAX,
    FRAMES_AT_ONCE,
    FRAMES_PER_SECOND,
    FRAMES_PER_SLOT,
    FRAMES_PER_STREAM,
    REPORTS_AT_ONCE,
    REPORTS_PER_SECOND,
    AGENT_ROOM_MAX,
    MACHINE_CHARS_MAX,
    AGENTS_PER_ROUTE_MAX,
    AGENT_REASON_CHARS_MAX,
  };
  expect(Object.fromEntries(table('| limit | value | of |').map(([name, value]) => [name, Number(value)]))).toEqual(limits);
});

test('the example of a proof is right', () => {
  const said = { hello: Buffer.from('{}'), challenge: Buffer.from('{}'), channel: Buffer.alloc(0) };
  expect(page).toContain(`PROOF is \`${prove('s', 'linker', said)}\``);
});

test('the conformance kit has the rules of the table', () => {
  expect(table('| rule | who | what it says |')).toEqual(Object.entries(RULES).map(([id, [who, says]]) => [id, who, says]));
});
