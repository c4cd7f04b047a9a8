/**
 * A real Prometheus with the shipped configuration and rules, and a real Alertmanager: alerts begin and end, and each panel of the dashboard has data.
 * Only addresses are others, and a minute is 4 s.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { freePort } from '../../../src/linker/free-port.ts';
import { ask } from '../../support/clients.ts';
import { eventually } from '../../support/eventually.ts';
import { ownDirectory } from '../../support/processes.ts';
import { startWatchedCluster, type WatchedCluster } from '../../support/watched-cluster.ts';

const DEPLOY = fileURLToPath(new URL('../../../deploy', import.meta.url));
const isInstalled = ['prometheus', 'prometheus-alertmanager'].every((program) => spawnSync(program, ['--version']).status === 0);
if (!isInstalled && process.env.CI === 'true') throw new Error('the tests need prometheus and prometheus-alertmanager');

interface Told {
  readonly status: 'firing' | 'resolved';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const folder = ownDirectory();
const programs: ChildProcess[] = [];
let cluster: WatchedCluster;
let prometheus: string;
let pager: Server;
/** What whoever is on call has been told. */
const told: Told[] = [];
let begun: number;
/** A light traffic, so that rates have something to show. */
let traffic: NodeJS.Timeout;

const MINUTE_S = 4;

const inSeconds = (text: string): string =>
  text
    .replaceAll(/\b(\d+)m\b/g, (_, minutes: string) => `${MINUTE_S * Number(minutes)}s`)
    .replaceAll(/\b(\d+)h\b/g, (_, hours: string) => `${60 * MINUTE_S * Number(hours)}s`);

async function startProgram(program: string, args: readonly string[], health: string): Promise<void> {
  const child = spawn(program, args, { cwd: folder, stdio: 'ignore' });
  programs.push(child);
  await eventually(`${program} is ready`, async () => (await fetch(health)).ok, 60_000);
}

async function startPager(): Promise<string> {
  pager = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    told.push(...(JSON.parse(Buffer.concat(chunks).toString()) as { alerts: Told[] }).alerts);
    response.end();
  });
  await once(pager.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(pager.address() as AddressInfo).port}/`;
}

async function startAlertmanager(): Promise<string> {
  const address = `127.0.0.1:${await freePort()}`;
  writeFileSync(
    join(folder, 'alertmanager.yaml'),
    stringify({
      route: {
        receiver: 'pager',
        group_by: ['alertname', 'route', 'instance'],
        group_wait: '0s',
        group_interval: '1s',
        repeat_interval: '1h',
      },
      receivers: [{ name: 'pager', webhook_configs: [{ url: await startPager(), send_resolved: true }] }],
    }),
  );
  const flags = [
    '--config.file=alertmanager.yaml',
    '--storage.path=alerts',
    `--web.listen-address=${address}`,
    '--cluster.listen-address=',
  ];
  await startProgram('prometheus-alertmanager', flags, `http://${address}/-/ready`);
  return address;
}

async function startPrometheus(alertmanager: string): Promise<string> {
  const address = `127.0.0.1:${await freePort()}`;
  const config = parse(readFileSync(join(DEPLOY, 'prometheus/prometheus.yaml'), 'utf8'));
  const targets: Record<string, readonly string[]> = { pullproxy: cluster.admins.slice(0, 2), 'pullproxy-scaler': cluster.admins.slice(2) };
  for (const job of config.scrape_configs) {
    job.scrape_interval = '1s';
    job.static_configs[0].targets = targets[job.job_name];
  }
  config.alerting.alertmanagers[0].static_configs[0].targets = [alertmanager];
  writeFileSync(join(folder, 'prometheus.yaml'), stringify({ global: { evaluation_interval: '1s' }, ...config }));
  for (const file of config.rule_files as string[]) {
    writeFileSync(join(folder, file), inSeconds(readFileSync(join(DEPLOY, 'prometheus', file), 'utf8')));
  }
  mkdirSync(join(folder, 'data'));
  const flags = ['--config.file=prometheus.yaml', '--storage.tsdb.path=data', `--web.listen-address=${address}`, '--log.level=error'];
  await startProgram('prometheus', flags, `http://${address}/-/ready`);
  return `http://${address}`;
}

const send = (host: string, node = 0, path = '/'): Promise<unknown> =>
  ask(cluster.nodes[node === 0 ? 0 : 1].url, { host, path }).catch(() => undefined);
const isTold = (status: Told['status'], alertname: string): boolean =>
  told.some((one) => one.status === status && one.labels.alertname === alertname);

async function values(query: string): Promise<number[]> {
  const now = Date.now() / 1_000;
  const range = new URLSearchParams({ query, start: String(begun), end: String(now), step: '1' });
  const response = await fetch(`${prometheus}/api/v1/query_range?${range}`);
  const { status, error, data } = (await response.json()) as {
    status: string;
    error?: string;
    data: { result: { values: [number, string][] }[] };
  };
  if (status !== 'success') throw new Error(`${query}: ${error}`);
  return data.result.flatMap((series) => series.values.map(([, value]) => Number(value))).filter(Number.isFinite);
}

(isInstalled ? describe : describe.skip)('Prometheus, with what is shipped', () => {
  beforeAll(async () => {
    cluster = await startWatchedCluster();
    begun = Date.now() / 1_000;
    prometheus = await startPrometheus(await startAlertmanager());
    let turn = 0;
    traffic = setInterval(() => {
      turn += 1;
      void send('app.example.com', turn % 2);
      if (turn % 4 === 0) void send('bad.example.com');
      if (turn % 4 === 1) void send('bad-again.example.com');
      if (turn % 32 === 0) void send('napping.example.com');
      if (turn % 4 === 2) void send('slow.example.com');
      // So many that the last ones wait for long enough to be told how long.
      if (turn % 8 === 3) for (let i = 0; i < 12; i++) void send('app.example.com', 0, '/slow?ms=100');
    }, 250);
  }, 180_000);

  afterAll(async () => {
    clearInterval(traffic);
    await Promise.all(
      programs.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }),
    );
    pager?.closeAllConnections();
    pager?.close();
    await cluster?.stop();
  });

  test('reaches all three', async () => {
    await eventually('all are up', async () => (await values('sum(up)')).includes(3), 30_000);
  });

  test('each panel of the dashboard has data', async () => {
    const { panels } = JSON.parse(readFileSync(join(DEPLOY, 'grafana/pullproxy.json'), 'utf8')) as {
      panels: { title: string; targets?: { expr: string }[] }[];
    };
    const filledIn = (expr: string): string => expr.replaceAll('$__rate_interval', '5s').replaceAll(/\$\{?\w+\}?/g, '.*');
    const asked = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr: filledIn(expr) })));
    expect(asked.length).toBeGreaterThan(25);
    for (const { title, expr } of asked) {
      await eventually(`${title} has data: ${expr}`, async () => (await values(expr)).length > 0, 60_000);
    }
  });

  test('an alert begins and ends: starts fail, and clients are refused', async () => {
    for (const name of ['PullproxyStartsFail', 'PullproxyRefusesClients']) {
      await eventually(`${name} is told`, () => isTold('firing', name), 60_000);
    }
    const { annotations } = told.find(({ labels }) => labels.alertname === 'PullproxyStartsFail') ?? {};
    expect(annotations?.summary).toMatch(/^Starts of (bad|bad-again|slow)\.example\.com fail$/);
    clearInterval(traffic);
    for (const name of ['PullproxyStartsFail', 'PullproxyRefusesClients']) {
      await eventually(`${name} has ended`, () => isTold('resolved', name), 180_000);
    }
  });

  test('an alert begins and ends: the scaler is down', async () => {
    expect(isTold('firing', 'PullproxyDown')).toBe(false);
    cluster.scaler.kill('SIGKILL');
    await eventually('it is told', () => isTold('firing', 'PullproxyDown'), 60_000);
    expect(told.find(({ labels }) => labels.alertname === 'PullproxyDown')?.labels).toMatchObject({
      instance: cluster.admins[2],
      severity: 'critical',
    });
    await cluster.startScaler();
    await eventually('it has ended', () => isTold('resolved', 'PullproxyDown'), 60_000);
  });
});
