import { expect, test } from '@jest/globals';
import { SpanStatusCode } from '@opentelemetry/api';
import { createLog } from '../../../src/log.ts';
import { CommandRunner } from '../../../src/scaling/command-runner.ts';
import { RecordedSpans } from '../../support/recorded-spans.ts';

test('each run of the startup command is a span, with what came of it', async () => {
  const recorded = new RecordedSpans();
  const runner = new CommandRunner({
    command: [process.execPath, '-e', 'process.exit(Number("{route}"))'],
    commandTimeoutMs: 60_000,
    environment: {},
    began: (facts) => recorded.tracing.commands.begin(facts),
    log: createLog('test', 'silent'),
  });
  const order = { startId: 's1', count: 1, desired: 2, held: 3, ready: 0 };
  await runner.start('0', {}, order, () => {});
  await expect(runner.start('7', {}, order, () => {})).rejects.toThrow('7');
  const spans = await recorded.end();
  expect(spans.map(({ name, parentSpanContext, status }) => [name, parentSpanContext, status.code])).toEqual([
    ['startup command', undefined, SpanStatusCode.UNSET],
    ['startup command', undefined, SpanStatusCode.ERROR],
  ]);
  expect(spans.map(({ attributes }) => attributes)).toEqual([
    { 'pullproxy.route': '0', 'pullproxy.start_id': 's1', 'pullproxy.count': 1, 'pullproxy.desired': 2, 'process.exit.code': 0 },
    { 'pullproxy.route': '7', 'pullproxy.start_id': 's1', 'pullproxy.count': 1, 'pullproxy.desired': 2, 'process.exit.code': 7 },
  ]);
});
