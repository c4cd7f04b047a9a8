/** What a benchmark run starts: the origin, and each way to it that is compared. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/linker/free-port.ts';
import { accepts, Children } from './children.ts';

export const CONCURRENCY = 50;
/** What clients ask for: a route is a host name. */
export const ROUTE = '127.0.0.1';

/** One way to the origin. */
export interface Target {
  readonly name: string;
  /** HOST:PORT. */
  readonly address: string;
  /** The processes on the way, by what they are. */
  readonly pids: Readonly<Record<string, number>>;
}

export interface NodeStart {
  readonly listen?: string;
  readonly args?: readonly string[];
  /** Flags of Node itself. */
  readonly flags?: readonly string[];
  /** A program that runs Node, with its arguments. */
  readonly under?: readonly string[];
  /** A directory with the code of another version; this one's by default. */
  readonly checkout?: string;
}

export interface LinkerStart {
  readonly route?: string;
  readonly concurrency?: number;
  readonly args?: readonly string[];
  readonly flags?: readonly string[];
  readonly under?: readonly string[];
  readonly checkout?: string;
}

export interface StartedNode {
  readonly pid: number;
  readonly address: string;
  readonly backend: string;
  readonly admin: string;
}

/** What the origin serves: names and bytes. */
const FILES = { '1m': 1_048_576, '100m': 104_857_600 } as const;

export class Surroundings {
  readonly directory = mkdtempSync(join(tmpdir(), 'pullproxy-bench-'));
  readonly children = new Children();
  readonly #against: string | undefined;

  /** `against`: the checkout of another version that is compared as well. */
  constructor(against?: string) {
    this.#against = against;
    // nginx' worker is another user where the benchmark is run by root.
    chmodSync(this.directory, 0o755);
  }

  async close(): Promise<void> {
    await this.children.stopAll();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** nginx: 25 bytes at `/`, files at `/1m` and `/100m`. Returns its port. */
  async startOrigin(): Promise<number> {
    const port = await freePort();
    const www = join(this.directory, `www-${port}`);
    mkdirSync(www);
    for (const [name, bytes] of Object.entries(FILES)) writeFileSync(join(www, name), Buffer.alloc(bytes, name));
    this.children.start('nginx', ['-c', this.configFile('origin.conf', { DIR: this.directory, WWW: www, PORT: port })]);
    await accepts(port);
    return port;
  }

  /** An application of test/bench/apps. Returns its port. */
  async startApp(name: string, env: Readonly<Record<string, string>> = {}): Promise<{ port: number; pid: number }> {
    const port = await freePort();
    const file = fileURLToPath(new URL(`./apps/${name}`, import.meta.url));
    const child = this.children.start(process.execPath, [file], { env: { ...process.env, PORT: String(port), ...env } });
    await accepts(port);
    return { port, pid: child.pid as number };
  }

  /** Two HAProxy processes of one thread each: the yardstick. `front`: the template of the one that clients reach. */
  async startChain(origin: number, template = 'chain.cfg', front = template): Promise<Target> {
    const [outer, inner] = [await freePort(), await freePort()];
    const variables: Record<string, string> = front.startsWith('tls') ? { CERTIFICATE: this.certificate().both } : {};
    const sidecar = this.configFile(template, { LISTEN: inner, SERVER: origin }, `sidecar-${inner}.cfg`);
    const frontFile = this.configFile(front, { LISTEN: outer, SERVER: inner, ...variables }, `front-${outer}.cfg`);
    const pids = {
      sidecar: this.children.start('haproxy', ['-db', '-f', sidecar]).pid as number,
      front: this.children.start('haproxy', ['-db', '-f', frontFile]).pid as number,
    };
    await accepts(inner);
    await accepts(outer);
    return { name: 'chain', address: `127.0.0.1:${outer}`, pids };
  }

  /** One HAProxy process of one thread. */
  async startHop(origin: number, template: string): Promise<Target> {
    const port = await freePort();
    const file = this.configFile(template, { LISTEN: port, SERVER: origin }, `hop-${port}.cfg`);
    const hop = this.children.start('haproxy', ['-db', '-f', file]).pid as number;
    await accepts(port);
    return { name: 'hop', address: `127.0.0.1:${port}`, pids: { hop } };
  }

  /** Two processes of `node:http` and undici each: the usual way in Node. */
  async startPair(origin: number): Promise<Target> {
    const inner = await this.startApp('forwarder.mjs', { TARGET: `http://127.0.0.1:${origin}` });
    const outer = await this.startApp('forwarder.mjs', { TARGET: `http://127.0.0.1:${inner.port}` });
    return { name: 'pair', address: `127.0.0.1:${outer.port}`, pids: { outer: outer.pid, inner: inner.pid } };
  }

  async startPullproxy(origin: number, node: NodeStart = {}, route = ROUTE): Promise<Target> {
    const started = await this.startNode(node);
    const linker = await this.startLinker(started.backend, origin, { route, checkout: node.checkout });
    return { name: 'pullproxy', address: started.address, pids: { node: started.pid, linker } };
  }

  /** The other version, where there is one to compare with. */
  async startAgainst(origin: number, node: NodeStart = {}): Promise<Target[]> {
    if (this.#against === undefined) return [];
    return [{ ...(await this.startPullproxy(origin, { ...node, checkout: this.#against })), name: 'against' }];
  }

  async startNode({ listen = 'http://127.0.0.1:0', args = [], flags = [], under = [], checkout }: NodeStart): Promise<StartedNode> {
    const ports = ['--listen', listen, '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const { child, ready } = await this.children.pullproxy(['node', ...ports, ...args], {}, flags, under, checkout);
    const url = new URL(((ready.listen as string[])[0] as string).replace(/^\w+:/, 'http:'));
    return { pid: child.pid as number, address: url.host, backend: String(ready.backend), admin: String(ready.admin) };
  }

  /** Returns its process id. */
  async startLinker(
    proxy: string,
    origin: number,
    { route = ROUTE, concurrency = CONCURRENCY, args: more = [], flags = [], under = [], checkout }: LinkerStart = {},
  ): Promise<number> {
    const app = `127.0.0.1:${origin}`;
    const args = ['linker', '--proxy', proxy, '--route', route, '--concurrency', String(concurrency), '--app', app, ...more];
    const { child } = await this.children.pullproxy(args, {}, flags, under, checkout);
    return child.pid as number;
  }

  async startRedis(): Promise<string> {
    const port = await freePort();
    this.children.start('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', this.directory]);
    await accepts(port);
    return `redis://127.0.0.1:${port}`;
  }

  /** `settings`: KEY=VALUE each. Before any node starts, so that all know them from the first. */
  async setRoute(redis: string, route: string, settings: readonly string[]): Promise<void> {
    const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
    const child = this.children.start(process.execPath, [main, 'route', 'set', route, ...settings, '--redis', redis]);
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`route set ends with ${code}`);
  }

  /** A self-signed certificate of 127.0.0.1, as files. */
  certificate(): { readonly key: string; readonly cert: string; readonly both: string } {
    const file = (name: string): string => join(this.directory, name);
    const files = { key: file('tls.key'), cert: file('tls.crt'), both: file('tls.pem') };
    const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    execFileSync('openssl', [...made, '-subj', '/CN=127.0.0.1', '-keyout', files.key, '-out', files.cert], { stdio: 'pipe' });
    writeFileSync(files.both, readFileSync(files.cert, 'utf8') + readFileSync(files.key, 'utf8'));
    return files;
  }

  configFile(template: string, variables: Readonly<Record<string, string | number>>, name = template): string {
    let text = readFileSync(new URL(`./yardstick/${template}.template`, import.meta.url), 'utf8');
    for (const [key, value] of Object.entries(variables)) text = text.replaceAll(`@${key}@`, String(value));
    const file = join(this.directory, name);
    writeFileSync(file, text);
    return file;
  }
}
