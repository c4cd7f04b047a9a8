/**
 * Long holds behind proxies that take a silence for an end: with holdSignal and holdComments they wait on. LONG_HOLD_SECONDS=300 holds for five
 * minutes behind timeouts of a minute; by default all times are shorter by the same factor.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { freePort } from '../../src/linker/free-port.ts';
import { accepts, Children } from '../bench/children.ts';
import { eventually } from '../support/eventually.ts';
import { FakeLinker } from '../support/harness/fake-linker.ts';
import { closeEverything, type LoneNode, startLoneNode } from '../support/harness/lone-node.ts';
import { ScriptedApp } from '../support/harness/scripted-app.ts';
import { connectClient } from '../support/raw-client.ts';

const HOLD_MS = 1_000 * Number(process.env.LONG_HOLD_SECONDS ?? 10);
const PROXY_TIMEOUT_MS = HOLD_MS / 5;
const SIGNAL_MS = PROXY_TIMEOUT_MS / 4;
const ROUTE = 'app.test';
const EVENTS = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: 1\n\n';

const children = new Children();
const directory = mkdtempSync(join(tmpdir(), 'pullproxy-long-holds-'));
/** Where each of them passes requests on. */
const nodePorts: Record<string, number> = {};
const proxyPorts: Record<string, number> = {};

beforeAll(async () => {
  mkdirSync(join(directory, 'temporary'));
  for (const [name, config, args] of [
    ['nginx', nginxConfig, (file: string) => ['-c', file, '-e', join(directory, 'nginx.log')]],
    ['haproxy', haproxyConfig, (file: string) => ['-f', file, '-q']],
  ] as const) {
    const [port, nodePort] = [await freePort(), await freePort()];
    const file = join(directory, `${name}.conf`);
    writeFileSync(file, config(port, nodePort));
    children.start(name, args(file));
    await accepts(port);
    nodePorts[name] = nodePort;
    proxyPorts[name] = port;
  }
});
afterEach(closeEverything);
afterAll(async () => {
  await children.stopAll();
  rmSync(directory, { recursive: true, force: true });
});

function nginxConfig(port: number, nodePort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/temporary/${name};`);
  return `
daemon off; pid ${directory}/nginx.pid; worker_processes 1; error_log ${directory}/nginx.log crit;
events { worker_connections 64; }
http {
  access_log off; ${temporary.join(' ')}
  proxy_read_timeout ${PROXY_TIMEOUT_MS}ms;
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://127.0.0.1:${nodePort}; proxy_http_version 1.1; proxy_set_header Host $host; }
  }
}`;
}

function haproxyConfig(port: number, nodePort: number): string {
  return `
defaults
  mode http
  timeout connect 5s
  timeout client 10m
  timeout server ${PROXY_TIMEOUT_MS}ms
frontend clients
  bind 127.0.0.1:${port}
  default_backend node
backend node
  server node 127.0.0.1:${nodePort}
`;
}

/** A node behind the proxy, and what a client behind both gets that is held for HOLD_MS. */
async function heldBehind(name: string, settings: Readonly<Record<string, unknown>>): Promise<{ status: number; body: string }> {
  const node = await startLoneNode({
    listen: { port: nodePorts[name] as number },
    routes: { [ROUTE]: { holdTimeout: '10m', ...settings } },
  });
  const client = await connectClient(proxyPorts[name] as number);
  client.send(`GET / HTTP/1.1\r\nHost: ${ROUTE}\r\nAccept: text/event-stream\r\n\r\n`);
  const served = serveLater(node);
  for (;;) {
    // nginx keeps interim responses to itself: the client is patient.
    await eventually('something comes', () => client.unread.length > 0, HOLD_MS + 60_000);
    const { status, body } = await client.response();
    if (status < 200) continue;
    clearTimeout(served);
    return { status, body: body.toString() };
  }
}

function serveLater({ backendPort }: LoneNode): NodeJS.Timeout {
  return setTimeout(async () => {
    const app = await ScriptedApp.serving(() => EVENTS);
    await FakeLinker.dial({ backendPort, appPort: app.port, route: ROUTE });
  }, HOLD_MS);
}

describe(`a client that is held for ${HOLD_MS / 1_000} s, behind a proxy that gives up after ${PROXY_TIMEOUT_MS / 1_000} s of silence`, () => {
  for (const name of ['nginx', 'haproxy']) {
    test(
      `has its response through ${name} with holdSignal`,
      async () => {
        const since = performance.now();
        expect(await heldBehind(name, { holdSignal: `${SIGNAL_MS}ms` })).toEqual({ status: 200, body: 'data: 1\n\n' });
        expect(performance.now() - since).toBeGreaterThan(HOLD_MS);
      },
      HOLD_MS + 60_000,
    );

    test(
      `has its events through ${name} with holdComments`,
      async () => {
        const { status, body } = await heldBehind(name, { holdComments: `${SIGNAL_MS}ms` });
        expect(status).toBe(200);
        expect(body).toMatch(/^(: waiting[^\n]*\n\n){5,}data: 1\n\n$/);
      },
      HOLD_MS + 60_000,
    );

    test(
      `is given up by ${name} without them`,
      async () => {
        expect((await heldBehind(name, {})).status).toBe(504);
      },
      HOLD_MS + 60_000,
    );
  }
});
