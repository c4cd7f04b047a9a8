/** Linkers with applications of their own: real processes, started, signalled, ended and killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, ResetCode } from '../../../src/link/frames.ts';
import { freePort } from '../../../src/linker/free-port.ts';
import type { LinkerOptions } from '../../../src/linker/linker-options.ts';
import { COUNTING_APP, SINGLE_THREADED_APP } from '../../support/apps/apps.ts';
import { closeFakeNodes, type FakeInstance, FakeNode } from '../../support/harness/fake-node.ts';
import { endLinkers, RunningLinker } from '../../support/harness/run-linker.ts';

afterEach(async () => {
  await endLinkers();
  closeFakeNodes();
});

/** An application of one line; `PORT` is its port. */
function script(code: string): string[] {
  return [process.execPath, '-e', code];
}

const SERVE = `const http = require('node:http');
const server = http.createServer((q, r) => r.end(JSON.stringify({ pid: process.pid, env: process.env })));
server.listen(Number(process.env.PORT), '127.0.0.1');`;

async function start(
  command: readonly string[],
  options: Partial<LinkerOptions> = {},
): Promise<{ node: FakeNode; running: RunningLinker; instance: FakeInstance }> {
  const node = await FakeNode.start();
  const running = new RunningLinker({ proxies: [node.address], command, ...options });
  await running.linker.ready;
  const instance = await node.instance();
  await instance.idle(options.concurrency ?? 4);
  return { node, running, instance };
}

async function pidOf(instance: FakeInstance): Promise<number> {
  const visit = await instance.get('/');
  return (JSON.parse(visit.body) as { pid: number }).pid;
}

/** A zombie that nobody has collected is dead. */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('the start', () => {
  test('the application is given a free port and the environment, but not the secret', async () => {
    const { running, instance } = await start(script(SERVE), { env: { PATH: process.env.PATH, COLOUR: 'blue', PULLPROXY_SECRET: 'hush' } });
    const visit = await instance.get();
    const { env } = JSON.parse(visit.body) as { env: Record<string, string> };
    expect(env).toMatchObject({ COLOUR: 'blue', PORT: String(running.linker.app?.port) });
    expect(env).not.toHaveProperty('PULLPROXY_SECRET');
  });

  test('an application that listens on ::1 alone is found', async () => {
    const { running, instance } = await start(script(SERVE.replace("'127.0.0.1'", "'::1'")));
    expect(running.linker.app?.host).toBe('::1');
    expect((await instance.get()).isAnswered).toBe(true);
  });

  test('a given port is used', async () => {
    const port = await freePort();
    const { running } = await start(script(SERVE), { app: { host: '127.0.0.1', port } });
    expect(running.linker.app).toEqual({ host: '127.0.0.1', port });
  });

  test('slots are lent within 50 ms of its accepting', async () => {
    const code = SERVE.replace("'127.0.0.1')", "'127.0.0.1', () => { server.at = Date.now(); })").replace('pid:', 'at: server.at, pid:');
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], command: script(code) });
    await running.linker.ready;
    const readyAt = Date.now();
    const instance = await node.instance();
    await instance.idle(4);
    const { at } = JSON.parse((await instance.get()).body) as { at: number };
    expect(readyAt - at).toBeLessThan(50);
  });

  test('one that does not accept in time is killed, and the linker ends with code 1', async () => {
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], command: script('setInterval(() => {}, 1000)'), startTimeoutMs: 300 });
    expect(await running.exit).toBe(1);
    const reason = expect.stringMatching(/^it has not accepted a connection at port \d+ \(PORT\) in time$/);
    expect(running.said('the application has not accepted a connection in time')).toMatchObject([{ level: 50, reason }]);
  });

  test('one that listens elsewhere is told where it should, and where it does', async () => {
    const node = await FakeNode.start();
    const elsewhere = await freePort();
    const command = script(SERVE.replace('Number(process.env.PORT)', String(elsewhere)));
    const running = new RunningLinker({ proxies: [node.address], command, startTimeoutMs: 2_000 });
    expect(await running.exit).toBe(1);
    const [{ reason } = {}] = running.said('the application has not accepted a connection in time');
    expect(reason).toMatch(
      new RegExp(`^it has not accepted a connection at port \\d+ \\(PORT\\) in time: it listens at port ${elsewhere}$`),
    );
  });

  test('one that accepts and is not ready is told what is missing', async () => {
    const node = await FakeNode.start();
    const command = script(SERVE.replace('r.end(', 'r.writeHead(503).end('));
    const running = new RunningLinker({ proxies: [node.address], command, readyPath: '/healthz', startTimeoutMs: 1_000 });
    expect(await running.exit).toBe(1);
    const [{ reason } = {}] = running.said('the application has not accepted a connection in time');
    expect(reason).toMatch(/^it accepts at port \d+ \(PORT\), and has not answered GET \/healthz with 2xx in time$/);
  });

  test.each([
    ['that is not there', ['/no/such/program'], 127],
    ['that is not executable', ['/etc/passwd'], 126],
    ['that ends at once', script('process.exit(7)'), 7],
  ])('a command %s ends the linker with its code', async (_name, command, code) => {
    const running = new RunningLinker({ proxies: [{ host: '127.0.0.1', port: await freePort() }], command });
    expect(await running.exit).toBe(code);
  });
});

describe('the end of the application', () => {
  test.each([
    ['its code', 'process.exit(3)', 3],
    ['128 and the signal', "process.kill(process.pid, 'SIGKILL')", 137],
  ])('is the end of the linker, with %s, and of every stream', async (_name, end, code) => {
    const { running, instance } = await start(
      script(
        `${SERVE} server.on('request', (q) => q.url === '/end' && setTimeout(() => ${end}, 50));`.replace(
          '(q, r) => r.end',
          "(q, r) => q.url === '/' && r.end",
        ),
      ),
    );
    await instance.get();
    const waiting = instance.open('GET /wait HTTP/1.1\r\nHost: app\r\n\r\n', Flag.FRESH);
    const visit = instance.open('GET /end HTTP/1.1\r\nHost: app\r\n\r\n');
    // On its kept connection this is a reuse that failed, on the fresh one an end without an answer, which the node judges.
    expect(await visit.wasReset()).toMatchObject({ code: ResetCode.APP_CLOSED, reused: true });
    await waiting.end();
    waiting.cancel(ResetCode.CANCEL);
    expect(await running.exit).toBe(code);
    await instance.down();
  });

  test('what it has written before is delivered', async () => {
    const { running, instance } = await start(
      script(
        `${SERVE} server.removeAllListeners('request'); server.on('request', (q, r) => { r.shouldKeepAlive = false; r.end('x'.repeat(90000), () => process.exit(0)); });`,
      ),
    );
    const visit = instance.open('GET / HTTP/1.1\r\nHost: app\r\n\r\n');
    visit.greedy = true;
    await visit.answered();
    expect(visit.body).toHaveLength(90_000);
    visit.close();
    expect(await running.exit).toBe(0);
  });

  test('what it has started ends with it', async () => {
    const child =
      "const child = require('node:child_process').spawn('sleep', ['1000']); server.on('request', (q) => q.url === '/end' && process.exit(0));";
    const { running, instance } = await start(script(`${SERVE.replace('pid: process.pid', 'pid: child.pid')} ${child}`));
    const pid = await pidOf(instance);
    expect(lives(pid)).toBe(true);
    const visit = instance.open('GET /end HTTP/1.1\r\nHost: app\r\n\r\n');
    await visit.end();
    visit.close();
    expect(await running.exit).toBe(0);
    expect(lives(pid)).toBe(false);
  });
});

/** A child in a session of its own, which closes nothing and outlives its parent. */
const SETSID = "const child = require('node:child_process').spawn('sleep', ['1000'], { detached: true });";

describe('stopping', () => {
  test('a drain ends what has left the group of the application (setsid), too', async () => {
    const { running, instance } = await start(script(`${SETSID} ${SERVE.replace('pid: process.pid', 'pid: child.pid')}`));
    const pid = await pidOf(instance);
    expect(lives(pid)).toBe(true);
    running.linker.drain();
    expect(await running.exit).toBe(0);
    expect(lives(pid)).toBe(false);
  });

  test('what has left the group and ignores SIGTERM is killed after the stop timeout', async () => {
    const stubborn = `const child = require('node:child_process').spawn('sh', ['-c', "trap '' TERM; sleep 1000"], { detached: true });`;
    const { running, instance } = await start(script(`${stubborn} ${SERVE.replace('pid: process.pid', 'pid: child.pid')}`), {
      stopTimeoutMs: 300,
    });
    const pid = await pidOf(instance);
    running.linker.drain();
    expect(await running.exit).toBe(0);
    expect(lives(pid)).toBe(false);
  });

  test('a drain ends the application by SIGTERM, with time to clean up', async () => {
    const { running, instance } = await start(script(`${SERVE} process.on('SIGTERM', () => setTimeout(() => process.exit(0), 200));`));
    const pid = await pidOf(instance);
    const since = performance.now();
    running.linker.drain();
    expect(await running.exit).toBe(0);
    expect(performance.now() - since).toBeGreaterThan(190);
    expect(lives(pid)).toBe(false);
  });

  test('one that ignores SIGTERM is killed after the stop timeout, with what it has started', async () => {
    const stubborn = `const child = require('node:child_process').spawn('sh', ['-c', "trap '' TERM; sleep 1000"]); process.on('SIGTERM', () => {});`;
    const { running, instance } = await start(
      script(`${stubborn} ${SERVE.replace('{ pid: process.pid', '{ pids: [process.pid, child.pid]')}`),
      {
        stopTimeoutMs: 300,
      },
    );
    const { pids } = JSON.parse((await instance.get()).body) as { pids: number[] };
    const since = performance.now();
    running.linker.drain();
    expect(await running.exit).toBe(0);
    expect(performance.now() - since).toBeGreaterThan(290);
    expect(pids.map(lives)).toEqual([false, false]);
  });

  test('a second drain kills it', async () => {
    const { running, instance } = await start(script(`${SERVE} process.on('SIGTERM', () => {});`), { stopTimeoutMs: 60_000 });
    const pid = await pidOf(instance);
    running.linker.drain();
    running.linker.drain();
    expect(await running.exit).toBe(0);
    expect(lives(pid)).toBe(false);
  });

  test('a drain while it is starting ends it', async () => {
    const node = await FakeNode.start();
    const running = new RunningLinker({ proxies: [node.address], command: script('setInterval(() => {}, 1000)') });
    await node.instance();
    running.linker.drain();
    expect(await running.exit).toBe(0);
  });

  test('other signals are passed on to it', async () => {
    const { running, instance } = await start(script(`${SERVE} process.on('SIGUSR2', () => process.exit(42));`));
    await pidOf(instance);
    running.linker.signal('SIGUSR2');
    expect(await running.exit).toBe(42);
  });
});

describe('real servers', () => {
  test('a Node application never has more requests than slots, whatever clients do', async () => {
    const { instance } = await start(COUNTING_APP, { concurrency: 3, env: { PATH: process.env.PATH, LIMIT: '3' } });
    for (let round = 0; round < 30; round++) {
      await instance.idle(3);
      const visits = Array.from({ length: 3 }, (_, i) =>
        instance.open(`GET /slow?ms=${i * 10} HTTP/1.1\r\nHost: app\r\n\r\n`, round % 3 === 0 ? Flag.FRESH : Flag.NONE),
      );
      for (const [i, visit] of visits.entries()) {
        if ((round + i) % 2 === 0) visit.cancel(ResetCode.CANCEL);
        else await visit.answered().then(() => visit.keep());
      }
    }
    await instance.idle(3);
    const stats = JSON.parse((await instance.get('/stats')).body) as { max: number; violations: number };
    expect(stats).toMatchObject({ violations: 0, max: 3 });
  });

  test('a Python application of one thread is never given two connections at once', async () => {
    const { instance } = await start(SINGLE_THREADED_APP, { concurrency: 1 });
    for (let round = 0; round < 30; round++) {
      await instance.idle(1);
      const visit = instance.open(`GET /slow?ms=${round % 5} HTTP/1.1\r\nHost: app\r\n\r\n`, round % 4 === 0 ? Flag.FRESH : Flag.NONE);
      if (round % 2 === 0) {
        visit.cancel(ResetCode.CANCEL);
        continue;
      }
      await visit.answered();
      expect(visit.text).toContain('200 OK');
      if (round % 3 === 0) visit.close();
      else visit.keep();
    }
    await instance.idle(1);
    expect((await instance.get()).body).toBe('ok');
  });

  test('a Python application that waits for acknowledgements is not slowed down by kept connections', async () => {
    const code = `import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'
  def do_GET(self):
    self.send_response(200)
    self.send_header('content-length', '2')
    self.end_headers()
    self.wfile.write(b'ok')
  def log_message(self, *_):
    pass
HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Handler).serve_forever()`;
    const { instance } = await start(['python3', '-c', code], { concurrency: 1 });
    for (let i = 0; i < 20; i++) await instance.get();
    const times: number[] = [];
    for (let i = 0; i < 50; i++) {
      const since = performance.now();
      const visit = instance.open('GET / HTTP/1.1\r\nHost: app\r\n\r\n');
      await visit.complete;
      times.push(performance.now() - since);
      visit.keep();
    }
    expect(times.sort((a, b) => a - b)[25]).toBeLessThan(20);
  });

  test('http.server, which ends each connection, is served as well', async () => {
    const command = ['sh', '-c', 'cd / && exec python3 -m http.server --bind 127.0.0.1 "$PORT"'];
    const { instance } = await start(command, { concurrency: 2 });
    for (let i = 0; i < 10; i++) {
      const visit = instance.open('GET /etc/hostname HTTP/1.0\r\n\r\n');
      await visit.end();
      expect(visit.text).toContain('200 OK');
      visit.close();
      await instance.idle(2);
    }
  });
});

test('what the application writes goes to standard error, and standard output carries the log alone', async () => {
  const node = await FakeNode.start();
  const main = fileURLToPath(new URL('../../support/apps/linker-process.ts', import.meta.url));
  const command = script(`console.log('to standard output'); console.error('to standard error'); ${SERVE}`);
  const child = spawn(process.execPath, [main, String(node.address.port), ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text) => {
    stdout += text;
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  await (await node.instance()).idle(4);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(stderr).toContain('to standard output');
  expect(stderr).toContain('to standard error');
  for (const line of stdout.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('msg');
});
