/** etcd and the API server of Kubernetes as processes of a test. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { dirname, join } from 'node:path';
import { freePort } from '../../src/linker/free-port.ts';
import { type Certificate, makeCertificate } from '../support/certificate.ts';
import { eventually } from '../support/eventually.ts';
import type { Manifest } from '../support/kubernetes-manifests.ts';
import { kubernetesTools } from '../support/kubernetes-tools.ts';
import { ownDirectory } from '../support/processes.ts';
import type { Binaries } from './binaries.ts';

const TOKEN = 'the-administrator';
const START_TIMEOUT_MS = 180_000;
/** On by default from 1.21 on. */
const GATES = '--feature-gates=TTLAfterFinished=true';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: an object of the API.
  readonly body: any;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class ControlPlane {
  readonly folder = ownDirectory();
  readonly kubeconfig = join(this.folder, 'kubeconfig');
  readonly tools = kubernetesTools();
  readonly certificate: Certificate = makeCertificate('kubernetes.default.svc', 'localhost');
  port = 0;
  readonly #binaries: Binaries;
  readonly #children: ChildProcess[] = [];
  #etcdPort = 0;
  #apiServer: ChildProcess | null = null;

  constructor(binaries: Binaries) {
    this.#binaries = binaries;
  }

  async start(): Promise<void> {
    this.port = await freePort();
    this.#etcdPort = await freePort();
    const [client, peer] = [`http://127.0.0.1:${this.#etcdPort}`, `http://127.0.0.1:${await freePort()}`];
    const urls = ['--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peer];
    const more = ['--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`, '--unsafe-no-fsync'];
    this.#launch(this.#binaries.etcd, ['--data-dir', join(this.folder, 'etcd'), ...urls, ...more]);
    execFileSync('openssl', ['genrsa', '-out', join(this.folder, 'sa.key'), '2048'], { stdio: 'pipe' });
    execFileSync('openssl', ['rsa', '-in', join(this.folder, 'sa.key'), '-pubout', '-out', join(this.folder, 'sa.pub')], { stdio: 'pipe' });
    writeFileSync(join(this.folder, 'tokens'), `${TOKEN},admin,admin,"system:masters"\n`);
    this.#writeKubeconfig();
    await this.#startApiServer();
  }

  /** The API server ends as if its machine had lost power. etcd stays, with all objects. */
  async away(): Promise<void> {
    const server = this.#apiServer;
    if (server === null) return;
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    await gone;
  }

  /** At the same port. */
  back(): Promise<void> {
    return this.#startApiServer();
  }

  async #startApiServer(): Promise<void> {
    const at = (name: string): string => join(this.folder, name);
    this.#apiServer = this.#launch(this.#binaries.apiServer, [
      ...['--etcd-servers', `http://127.0.0.1:${this.#etcdPort}`, '--bind-address', '127.0.0.1', '--advertise-address', '127.0.0.1'],
      ...['--secure-port', String(this.port), '--service-cluster-ip-range', '10.0.0.0/24', '--authorization-mode', 'RBAC'],
      ...['--tls-cert-file', this.certificate.certFile, '--tls-private-key-file', this.certificate.keyFile],
      ...['--service-account-issuer', 'https://kubernetes.default.svc', '--service-account-signing-key-file', at('sa.key')],
      ...['--service-account-key-file', at('sa.pub'), '--token-auth-file', at('tokens'), GATES],
    ]);
    await eventually('the API server is ready', async () => (await this.ask('GET', '/readyz')).status === 200, START_TIMEOUT_MS);
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      }),
    );
    this.certificate.remove();
  }

  /** One request, as the administrator if no other token is given; PATCH is a merge patch. Status 0 where there is no answer. */
  ask(method: string, path: string, object?: unknown, token = TOKEN): Promise<Answer> {
    return new Promise((resolve) => {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const headers = { authorization: `Bearer ${token}`, 'content-type': type };
      const asked = request({ host: '127.0.0.1', port: this.port, method, path, headers, ca: this.certificate.cert }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString()) }));
        response.on('error', () => resolve({ status: 0, body: null }));
      });
      asked.on('error', () => resolve({ status: 0, body: null }));
      asked.end(object === undefined ? undefined : JSON.stringify(object));
    });
  }

  async list(path: string): Promise<Manifest[]> {
    return ((await this.ask('GET', path)).body?.items ?? []) as Manifest[];
  }

  /** What a kubelet gives to a Pod of this service account: its token and namespace in files, and where the API is. */
  async podOf(account: string, namespace: string): Promise<{ readonly token: string; readonly env: Readonly<Record<string, string>> }> {
    const { code, stdout, stderr } = await this.kubectl('create', 'token', account, '--namespace', namespace, '--duration', '2h');
    if (code !== 0) throw new Error(`no token for ${account}: ${stderr}`);
    const folder = dirname(this.certificate.certFile);
    writeFileSync(join(folder, 'token'), stdout.trim());
    writeFileSync(join(folder, 'namespace'), namespace);
    const at = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(this.port) };
    return { token: stdout.trim(), env: { ...at, NODE_EXTRA_CA_CERTS: this.certificate.certFile } };
  }

  kubectl(...args: string[]): Promise<Ran> {
    return this.run(this.tools.kubectl, args);
  }

  helm(...args: string[]): Promise<Ran> {
    return this.run(this.tools.helm, args);
  }

  run(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const all = { PATH: process.env.PATH, HOME: this.folder, KUBECONFIG: this.kubeconfig, ...env };
    return new Promise((resolve) => {
      execFile(program, args, { env: all, encoding: 'utf8', timeout: START_TIMEOUT_MS }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
      });
    });
  }

  #writeKubeconfig(): void {
    const cluster = { server: `https://127.0.0.1:${this.port}`, 'certificate-authority': this.certificate.certFile };
    const context = { cluster: 'test', user: 'admin' };
    const config = {
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'test' },
      clusters: [{ name: 'test', cluster }],
      users: [{ name: 'admin', user: { token: TOKEN } }],
      contexts: [{ name: 'test', context }],
    };
    writeFileSync(this.kubeconfig, JSON.stringify(config));
  }

  #launch(program: string, args: readonly string[]): ChildProcess {
    const log = openSync(join(this.folder, `${program.split('/').at(-1)}.log`), 'a');
    const child = spawn(program, args, { cwd: this.folder, stdio: ['ignore', log, log] });
    this.#children.push(child);
    return child;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
