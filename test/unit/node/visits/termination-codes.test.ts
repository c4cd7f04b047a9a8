/** The documents' termination codes, access log and metrics are those of the code. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { Metrics } from '../../../../src/admin/metrics.ts';
import { ERRORS, type ErrorCode, PullproxyError } from '../../../../src/errors.ts';
import { VisitRecord } from '../../../../src/node/visits/visit-record.ts';

const root = new URL('../../../../', import.meta.url);
const operating = readFileSync(new URL('deploy/README.md', root), 'utf8');
const reference = readFileSync(new URL('deploy/reference.md', root), 'utf8');
const source = readFileSync(new URL('src/node/visits/visit-record.ts', root), 'utf8');

/** The rows of a table: texts of its cells. Without `to` the table stands last. */
function rows(text: string, from: string, to?: string): string[][] {
  const begin = text.indexOf(from);
  const section = text.slice(begin, to === undefined ? undefined : text.indexOf(to, begin));
  return section.split('\n').flatMap((line) => (line.startsWith('| `') ? [line.split('|').map((cell) => cell.trim())] : []));
}

function codes(cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? '');
}

const NOBODY = { watchers: [], isStopping: false, takeHandoff: () => null };

function recordOf(error: PullproxyError): VisitRecord {
  const record = new VisitRecord({ protocol: 'tcp', client: '', head: null }, '', 0, NOBODY);
  record.failed(error.code, 0);
  return record;
}

const ends = rows(reference, '## Termination codes', '| second letter');
const phases = rows(reference, '| second letter');

test('each of pullproxy’s own responses is under the letter of who ended it', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const { endedBy } = recordOf(new PullproxyError(code));
    expect([code, ends.filter((row) => codes(row[3]).includes(code)).map((row) => codes(row[1])[0])]).toEqual([code, [endedBy]]);
  }
});

test('every letter and every reason is explained, and no others', () => {
  const union = (name: string): string[] => {
    const text = new RegExp(`export type ${name} =([^;]+);`).exec(source)?.[1] ?? '';
    return [...text.matchAll(/'([^']+)'/g)].map(([, letter]) => letter ?? '');
  };
  expect(ends.map((row) => codes(row[1])[0]).toSorted()).toEqual(
    union('EndedBy')
      .filter((letter) => letter !== '-')
      .toSorted(),
  );
  expect(phases.map((row) => codes(row[1])[0]).toSorted()).toEqual(
    union('Phase')
      .filter((letter) => letter !== '-')
      .toSorted(),
  );
  const reasons = new Set([...union('EndReason'), ...Object.keys(ERRORS)]);
  expect(ends.flatMap((row) => codes(row[3])).toSorted()).toEqual([...reasons].toSorted());
});

test('the example of an access log’s line is one, and has every field that is explained', () => {
  const example = /```json\n(\{"level"[^`]+)```/.exec(operating)?.[1] ?? '';
  const fields = Object.keys(JSON.parse(example) as object);
  const explained = rows(operating, '## Access log', '## Traces').flatMap((row) => codes(row[1]));
  // An ordinary request has not all of them.
  expect(explained.filter((field) => !fields.includes(field))).toEqual(['affinity', 'traceId', 'reason']);
});

test('every metric is explained, and no others', async () => {
  const metrics = new Metrics(async () => ({ routes: [], handoffs: {}, redisCommands: 0, redisConnected: null }), '1.0.0');
  const own = [...(await metrics.text()).matchAll(/^# TYPE (pullproxy_\w+)/gm)].map(([, name]) => name);
  const explained = rows(operating, '| metric |', '### Prometheus and Grafana').flatMap((row) => codes(row[1]));
  expect(explained.toSorted()).toEqual(own.toSorted());
});
