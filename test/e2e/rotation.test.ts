/** Certificates and secrets are replaced under load, each in the order that the README says, and no request notices. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, expect, jest, test } from '@jest/globals';
import { COUNTING_APP } from '../support/apps/apps.ts';
import { makeCertificate } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import { type Running, startProcess } from '../support/processes.ts';

jest.setTimeout(120_000);

const CLIENTS = 8;
const directory = mkdtempSync(join(tmpdir(), 'pullproxy-rotation-'));
const started: Running[] = [];

afterAll(async () => {
  for (const running of started.reverse()) await running.stop();
  rmSync(directory, { recursive: true });
});

/** As tools do that renew: the new file takes the old one's place in one step. */
function put(name: string, content: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
  return path;
}

function putCertificate(name: string): Buffer {
  const { cert, key, remove } = makeCertificate('app.test');
  put(`${name}.key`, key);
  put(`${name}.crt`, cert);
  remove();
  return cert;
}

async function start(args: readonly string[]): Promise<Running> {
  const running = await startProcess(args);
  started.push(running);
  return running;
}

/** Asks over and over, half of the time on new connections. */
class Load {
  answered = 0;
  readonly failures: string[] = [];
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true });
  #running = true;
  readonly #run: Promise<unknown>;

  constructor(port: number) {
    this.#port = port;
    this.#run = Promise.all(Array.from({ length: CLIENTS }, (_, i) => this.#client(i % 2 === 0)));
  }

  async goesOn(): Promise<void> {
    const before = this.answered;
    await eventually('the load goes on', () => this.answered > before + 10 * CLIENTS);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#run;
    this.#agent.destroy();
  }

  async #client(keeps: boolean): Promise<void> {
    while (this.#running) {
      await this.#ask(keeps).then(
        (status) => (status === 200 ? this.answered++ : this.failures.push(String(status))),
        (error: Error) => this.failures.push(error.message),
      );
    }
  }

  #ask(keeps: boolean): Promise<number> {
    return new Promise((resolve, reject) => {
      // Which certificate is shown is looked at apart from the load.
      const to = { host: '127.0.0.1', port: this.#port, servername: 'app.test', rejectUnauthorized: false, method: 'POST' };
      const asked = request({ ...to, agent: keeps ? this.#agent : false, headers: { host: 'app.test' } }, (answer) => {
        answer
          .once('error', reject)
          .once('end', () => resolve(answer.statusCode ?? 0))
          .resume();
      });
      asked.once('error', reject).end('x');
    });
  }
}

function fingerprintAt(port: number, ca: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: '127.0.0.1', port, servername: 'app.test', ca });
    socket.once('secureConnect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('secureConnect', () => socket.destroy());
  });
}

test('certificates of both ports and the secret are rotated under load: 0 failures', async () => {
  putCertificate('clients');
  const authority = putCertificate('backend');
  put('authority', authority);
  const nodeSecrets = put('node-secrets', 'old-secret\n');
  const linkerSecret = put('linker-secret', 'old-secret\n');
  const file = (name: string): string => join(directory, name);
  const https = ['--listen', 'https://127.0.0.1:0', '--tls-cert', file('clients.crt'), '--tls-key', file('clients.key')];
  const backend = ['--backend', '127.0.0.1:0', '--backend-tls-cert', file('backend.crt'), '--backend-tls-key', file('backend.key')];
  const node = await start(['node', ...https, ...backend, '--admin', '127.0.0.1:0', '--secret-file', nodeSecrets]);
  const at = ['--proxy', String(node.ready.backend), '--proxy-tls-ca', file('authority'), '--route', 'app.test'];
  const linkers: Running[] = [];
  for (let i = 0; i < 2; i++)
    linkers.push(await start(['linker', ...at, '--concurrency', '4', '--secret-file', linkerSecret, '--', ...COUNTING_APP]));
  const port = Number(new URL((node.ready.listen as string[])[0] as string).port);
  const load = new Load(port);
  await load.goesOn();

  const client = putCertificate('clients');
  await eventually('clients see the new certificate', () => fingerprintAt(port, client));
  await load.goesOn();

  const next = putCertificate('backend');
  put('authority', Buffer.concat([authority, next]));
  const backendPort = Number(String(node.ready.backend).split(':').at(-1));
  await eventually('linkers see the new certificate', () => fingerprintAt(backendPort, next));
  await load.goesOn();

  put('node-secrets', 'old-secret\nnew-secret\n');
  await node.logged((line) => line.msg === 'secrets reloaded' && line.secrets === 2);
  put('linker-secret', 'new-secret\n');
  await load.goesOn();
  put('node-secrets', 'new-secret\n');
  await node.logged((line) => line.msg === 'secrets reloaded' && line.secrets === 1);
  await eventually('both linkers are linked anew', () => node.logs.filter(({ msg }) => msg === 'linker linked').length === 4);
  await load.goesOn();
  await load.stop();
  expect(load.failures).toEqual([]);

  // It never gets ready: the end of this file ends it.
  startProcess(['linker', ...at, '--secret-file', put('late', 'old-secret\n'), '--', ...COUNTING_APP]).catch(() => {});
  await node.logged((line) => line.msg === 'linker refused' && /secret/.test(String(line.reason)));
  const logged = [node, ...linkers].map((running) => JSON.stringify(running.logs) + running.text()).join('');
  expect(logged).not.toMatch(/old-secret|new-secret/);
});
