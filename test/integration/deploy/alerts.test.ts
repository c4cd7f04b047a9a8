/** The alerts, by Prometheus' own engine: each begins when its matter does, and ends with it, whatever the jobs are called. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';

const RULES = fileURLToPath(new URL('../../../deploy/prometheus/pullproxy.rules.yaml', import.meta.url));
const CONFIG = fileURLToPath(new URL('../../../deploy/prometheus/prometheus.yaml', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'pullproxy-alerts-'));
afterAll(() => rmSync(folder, { recursive: true }));

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
if (!hasPromtool && process.env.CI === 'true') throw new Error('the tests need promtool (Debian: prometheus)');

const alerts = (parse(readFileSync(RULES, 'utf8')) as { groups: { rules: { alert: string }[] }[] }).groups.flatMap(({ rules }) =>
  rules.map(({ alert }) => alert),
);

/** The job of a node, as Kubernetes' service discovery names it. */
const AT = 'job="kubernetes-pods", instance="10.0.0.7:9090"';
const ROUTE = `${AT}, route="app.example.com"`;
/** Well for 30 minutes, ill for 60, well for 90; one value a minute. */
const level = (well: number, ill: number): string => `${well}x29 ${ill}x59 ${well}x89`;
const count = (well: number, ill: number): string => {
  const at = [0, 30 * well, 30 * well + 60 * ill];
  return `${at[0]}+${well}x29 ${at[1]}+${ill}x59 ${at[2]}+${well}x89`;
};
/** Observations of a histogram, in seconds, 60 a minute. */
const waits = (metric: string, wellS: number, illS: number, bounds: readonly number[]): Record<string, string> =>
  Object.fromEntries(
    [...bounds, Number.POSITIVE_INFINITY].map((bound) => [
      `${metric}_bucket{${ROUTE}, le="${bound === Number.POSITIVE_INFINITY ? '+Inf' : bound}"}`,
      count(wellS <= bound ? 60 : 0, illS <= bound ? 60 : 0),
    ]),
  );

const MATTERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  PullproxyNobodyComes: {
    [`pullproxy_held{${ROUTE}}`]: level(0, 3),
    [`pullproxy_instances{${ROUTE}}`]: level(0, 0),
    [`pullproxy_starting{${ROUTE}}`]: level(0, 0),
  },
  PullproxyStartsFail: { [`pullproxy_starts_total{${ROUTE}, outcome="ended_early"}`]: count(0, 1) },
  PullproxyStartsComeLate: { [`pullproxy_starts_total{${ROUTE}, outcome="turned_away"}`]: count(0, 1) },
  PullproxyRefusesClients: {
    [`pullproxy_requests_total{${ROUTE}, code="503"}`]: count(0, 10),
    [`pullproxy_requests_total{${ROUTE}, code="200"}`]: count(100, 90),
  },
  PullproxyApplicationBreaks: {
    [`pullproxy_requests_total{${ROUTE}, code="502"}`]: count(0, 10),
    [`pullproxy_requests_total{${ROUTE}, code="200"}`]: count(100, 90),
  },
  PullproxyPausedForLong: { [`pullproxy_paused{${ROUTE}}`]: `_x29 1x59 _x89` },
  PullproxyOverloaded: { [`pullproxy_overload_wait_seconds{${ROUTE}}`]: level(0, 0.5) },
  PullproxyAgentsFull: {
    [`pullproxy_held{${ROUTE}}`]: level(0, 3),
    [`pullproxy_instances{${ROUTE}}`]: level(2, 2),
    [`pullproxy_agent_room{${ROUTE}}`]: level(1, 0),
  },
  PullproxyLongHolds: waits('pullproxy_hold_seconds', 0.1, 8, [0.25, 5, 10]),
  PullproxySlowColdStarts: waits('pullproxy_cold_start_seconds', 2, 50, [2.5, 30, 60]),
  PullproxySlotsDoNotMove: {
    [`pullproxy_handoffs_total{${AT}, result="failed"}`]: count(0, 5),
    [`pullproxy_handoffs_total{${AT}, result="moved"}`]: count(5, 1),
  },
  PullproxyRedisAway: { [`pullproxy_redis_connected{${AT}}`]: level(1, 0) },
  PullproxyRedisRefuses: { [`pullproxy_redis_refuses{${AT}}`]: level(0, 1) },
  PullproxyTrouble: { [`pullproxy_events_total{${AT}, level="error", code="namesake"}`]: count(0, 1) },
  PullproxyCertificateExpires: { [`pullproxy_certificate_expiry_seconds{${AT}, file="a.crt"}`]: level(99_999_999, 1_000_000) },
  PullproxyBusyEventLoop: {
    [`nodejs_eventloop_lag_p99_seconds{${AT}}`]: level(0.01, 0.5),
    [`pullproxy_redis_commands_total{${AT}}`]: count(1, 1),
  },
  PullproxyAccessLogDrops: { [`pullproxy_access_log_dropped_total{${AT}}`]: count(0, 7) },
  PullproxyInternalErrors: { [`pullproxy_internal_errors_total{${AT}, where="client"}`]: count(0, 1) },
  PullproxyDown: { [`up{${AT}}`]: level(1, 0), [`pullproxy_redis_commands_total{${AT}}`]: `${count(1, 0).split(' ')[0]} _x59 30+1x89` },
};

interface Outcome {
  readonly passed: boolean;
  readonly text: string;
}

/** Whether each of the alerts is firing at that minute, for Prometheus itself. */
async function firing(series: Readonly<Record<string, string>>, at: Readonly<Record<number, readonly string[]>>): Promise<Outcome> {
  const file = join(folder, 'test.yaml');
  const expected = Object.entries(at).map(([minute, names]) => ({
    expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
    eval_time: `${minute}m`,
    exp_samples: names.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
  }));
  const input = Object.entries(series).map(([name, values]) => ({ series: name, values }));
  writeFileSync(
    file,
    stringify({
      rule_files: [RULES],
      evaluation_interval: '1m',
      tests: [{ interval: '1m', input_series: input, promql_expr_test: expected }],
    }),
  );
  return promisify(execFile)('promtool', ['test', 'rules', file]).then(
    ({ stdout }) => ({ passed: true, text: stdout }),
    (error: { stdout: string; stderr: string }) => ({ passed: false, text: error.stdout + error.stderr }),
  );
}

(hasPromtool ? describe : describe.skip)('an alert', () => {
  test('is tested, each one', () => {
    expect(Object.keys(MATTERS).toSorted()).toEqual(alerts.toSorted());
  });

  test.each(Object.entries(MATTERS))('%s begins and ends with its matter, and nothing else does', async (name, series) => {
    // It may look back for half an hour.
    expect(await firing(series, { 29: [], 85: [name], 170: [] })).toMatchObject({ passed: true });
    expect(await firing(series, { 85: [] })).toMatchObject({ passed: false, text: expect.stringContaining(name) });
  });

  test('also of the first event of its kind there is one, and it ends when nothing more happens', async () => {
    const once = { [`pullproxy_events_total{${AT}, level="error", code="settings_lost"}`]: '_x29 1x149' };
    expect(await firing(once, { 28: [], 32: ['PullproxyTrouble'], 60: [] })).toMatchObject({ passed: true });
  });

  test('that something is down is not said of what is no part of pullproxy', async () => {
    expect(await firing({ 'up{job="other", instance="10.0.0.8:80"}': level(1, 0) }, { 85: [] })).toMatchObject({ passed: true });
  });
});

(hasPromtool ? test : test.skip)('Prometheus takes the rules and its configuration', () => {
  for (const [what, file] of [
    ['rules', RULES],
    ['config', CONFIG],
  ]) {
    const { status, stdout, stderr } = spawnSync('promtool', ['check', what ?? '', file ?? ''], { encoding: 'utf8' });
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining('SUCCESS')]);
  }
});
