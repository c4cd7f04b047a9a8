/** What is besieged: a cluster of processes as an operator runs it, with tenants that do no harm and one that does nothing else. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/linker/free-port.ts';
import { accepts, Children } from '../../bench/children.ts';
import { type Certificate, makeCertificate } from '../../support/certificate.ts';
import { MAIN } from '../../support/program-path.ts';

const APPS = fileURLToPath(new URL('../../support/apps/', import.meta.url));

export const Tenant = {
  /** Served by one instance at each node. */
  WEB: 'web.test',
  /** Started from zero by the scaler, again and again. */
  COLD: 'cold.test',
  /** Its applications answer what they like. */
  EVIL: 'evil.test',
  /** The same in HTTP/2. */
  EVIL_HTTP2: 'evil-h2.test',
} as const;

/** What the evil tenant's linkers know. */
export const EVIL_SECRET = 'what-only-the-evil-tenant-knows';
const SECRET = 'a-secret-of-everybody-else';
const SLOTS = 20;
const EVIL_SLOTS = 5;

/** How the cluster is reached. */
export interface Ports {
  readonly http: readonly number[];
  readonly https: readonly number[];
  /** Behind a PROXY header. */
  readonly proxied: readonly number[];
  readonly backend: readonly number[];
  readonly admin: readonly number[];
  readonly redis: number;
  readonly nodes: readonly string[];
  /** Where the evil tenant's linkers look for its applications. */
  readonly evilApp: number;
  readonly evilHttp2App: number;
}

export interface Watched {
  readonly name: string;
  readonly pid: number;
}

export class Place {
  readonly ports: Ports;
  /** Processes of pullproxy. */
  readonly watched: readonly Watched[];
  /** What ended without being told to. */
  readonly ended: string[];
  /** Log lines of errors, by what they say. */
  readonly errors: ReadonlyMap<string, number>;
  readonly #builder: Builder;

  private constructor(builder: Builder, ports: Ports) {
    this.#builder = builder;
    this.ports = ports;
    this.watched = builder.watched;
    this.ended = builder.ended;
    this.errors = builder.errors;
  }

  static async open(nodes: number): Promise<Place> {
    const builder = new Builder();
    try {
      return new Place(builder, await builder.build(nodes));
    } catch (error) {
      await builder.close();
      throw error;
    }
  }

  /** The evil tenant's linkers, once its applications listen. */
  admitEvil(): Promise<void> {
    return this.#builder.evilLinkers(this.ports);
  }

  close(): Promise<void> {
    return this.#builder.close();
  }
}

class Builder {
  readonly watched: Watched[] = [];
  readonly ended: string[] = [];
  readonly errors = new Map<string, number>();
  readonly #children = new Children();
  readonly #directory = realpathSync(mkdtempSync(join(tmpdir(), 'pullproxy-siege-')));
  readonly #certificate: Certificate = makeCertificate(Tenant.WEB, Tenant.EVIL);
  readonly #commandsFile = join(this.#directory, 'commands');
  #closing = false;

  async close(): Promise<void> {
    this.#closing = true;
    await this.#children.stopAll();
    for (const pid of this.#startedLinkers()) process.kill(pid, 'SIGKILL');
    this.#certificate.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Linkers that the startup command began and that still run. Nobody is their parent, so nobody else ends them. */
  #startedLinkers(): number[] {
    const commands = this.#commandsFile;
    if (!existsSync(commands)) return [];
    const begun = readFileSync(commands, 'utf8').trim().split('\n');
    const pids = begun.map((line) => Number((JSON.parse(line) as { linkerPid: number }).linkerPid));
    return pids.filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(commands);
      } catch {
        // It has ended.
        return false;
      }
    });
  }

  async build(count: number): Promise<Ports> {
    const redis = await freePort();
    this.#children.start('redis-server', ['--port', String(redis), '--bind', '127.0.0.1', '--save', '', '--dir', this.#directory]);
    await accepts(redis);
    const redisUrl = `redis://127.0.0.1:${redis}`;
    const secrets = join(this.#directory, 'secrets');
    writeFileSync(secrets, `${EVIL_SECRET} ${Tenant.EVIL} ${Tenant.EVIL_HTTP2}\n${SECRET} ${Tenant.WEB} ${Tenant.COLD}\n`);
    const config = join(this.#directory, 'siege.yaml');
    writeFileSync(config, configOf());
    const names = ['a', 'b', 'c', 'd'].slice(0, count);
    const nodes: Record<string, unknown>[] = [];
    for (const name of names) nodes.push(await this.#node(name, ['--redis', redisUrl, '--secret-file', secrets, '--config', config]));
    const backends = nodes.map(({ backend }) => String(backend));
    for (const [i, backend] of backends.slice(0, 2).entries()) {
      // An application that closes connections while it has no processor is none of the proxy's faults.
      const app = await this.#app('counting-app.mjs', { LIMIT: String(SLOTS), KEEP_ALIVE_MS: '3600000' });
      await this.#linker(`linker ${Tenant.WEB} ${i}`, [backend], Tenant.WEB, app, SECRET, SLOTS);
    }
    const [evilApp, evilHttp2App] = [await freePort(), await freePort()];
    await this.#scaler(redisUrl, backends);
    const listening = (scheme: string, at = 0): number[] =>
      nodes.map(({ listen }) => portOf((listen as string[]).filter((url) => url.startsWith(`${scheme}:`))[at] ?? ''));
    return {
      http: listening('http'),
      proxied: listening('http', 1),
      https: listening('https'),
      backend: backends.map(portOf),
      admin: nodes.map(({ admin }) => portOf(String(admin))),
      redis,
      nodes: names,
      evilApp,
      evilHttp2App,
    };
  }

  async evilLinkers(ports: Ports): Promise<void> {
    const backends = ports.backend.map((port) => `127.0.0.1:${port}`);
    await this.#linker(`linker ${Tenant.EVIL}`, backends, Tenant.EVIL, ports.evilApp, EVIL_SECRET, EVIL_SLOTS);
    await this.#linker(`linker ${Tenant.EVIL_HTTP2}`, backends, Tenant.EVIL_HTTP2, ports.evilHttp2App, EVIL_SECRET, EVIL_SLOTS);
  }

  async #node(name: string, args: readonly string[]): Promise<Record<string, unknown>> {
    const plain = 'http://127.0.0.1:0';
    const listen = ['--listen', plain, '--listen', `${plain}?proxy=v2`, '--listen', 'https://127.0.0.1:0'];
    const ports = ['--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--id', name];
    const tls = ['--tls-cert', this.#certificate.certFile, '--tls-key', this.#certificate.keyFile];
    const limits = ['--head-timeout', '5s', '--stall-timeout', '5s', '--connections-per-address-max', '1000'];
    return this.#pullproxy(`node ${name}`, ['node', ...listen, ...ports, ...tls, ...limits, ...args]);
  }

  async #linker(name: string, proxies: readonly string[], route: string, app: number, secret: string, slots: number): Promise<void> {
    const dial = proxies.flatMap((proxy) => ['--proxy', proxy]);
    // One that is idle for a while would leave.
    const args = [
      '--route',
      route,
      '--app',
      `127.0.0.1:${app}`,
      '--concurrency',
      String(slots),
      '--idle-timeout',
      '24h',
      '--old-idle-timeout',
      '24h',
    ];
    await this.#pullproxy(name, ['linker', ...dial, ...args], { PULLPROXY_SECRET: secret });
  }

  async #scaler(redisUrl: string, backends: readonly string[]): Promise<void> {
    const dial = backends.flatMap((proxy) => ['--proxy', proxy]);
    const idle = ['--idle-timeout', '1s', '--old-idle-timeout', '1s'];
    const app = ['--', process.execPath, join(APPS, 'counting-app.mjs')];
    const linker = [MAIN, 'linker', ...dial, '--route', '{route}', '--concurrency', '4', ...idle, ...app];
    const given = ['LINKER_SECRET', 'LIMIT', 'COMMANDS_FILE'].flatMap((name) => ['--command-env', name]);
    const command = [process.execPath, join(APPS, 'start-linker.mjs'), ...linker];
    const env = { LINKER_SECRET: SECRET, LIMIT: '4', COMMANDS_FILE: this.#commandsFile };
    await this.#pullproxy('scaler', ['scaler', '--redis', redisUrl, '--admin', '127.0.0.1:0', ...given, '--', ...command], env);
  }

  /** Returns its port. */
  async #app(name: string, env: Readonly<Record<string, string>>): Promise<number> {
    const port = await freePort();
    this.#children.start(process.execPath, [join(APPS, name)], { env: { ...process.env, ...env, PORT: String(port) } });
    await accepts(port);
    return port;
  }

  /** Resolves with the line that says that it serves. */
  #pullproxy(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Record<string, unknown>> {
    const child = this.#children.start(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
    this.watched.push({ name, pid: child.pid as number });
    return new Promise((resolve, reject) => {
      child.once('exit', (code, signal) => {
        if (!this.#closing) this.ended.push(`${name}: ${code ?? signal}`);
        reject(new Error(`${name} ended before it was ready`));
      });
      this.#read(child, (line) => {
        if (line.includes('"msg":"ready"')) resolve(JSON.parse(line) as Record<string, unknown>);
        if (/"level":(50|60)/.test(line)) this.#note(name, line);
      });
    });
  }

  #read({ stdout }: ChildProcess, take: (line: string) => void): void {
    let rest = '';
    stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
    });
  }

  #note(name: string, line: string): void {
    const { msg, err } = JSON.parse(line) as { msg?: string; err?: { message?: string; stack?: string } };
    const what = `${name.split(' ')[0]}: ${msg ?? ''}${
      err === undefined
        ? ''
        : `: ${String(err.stack ?? err.message)
            .split('\n')
            .slice(0, 3)
            .join(' ')}`
    }`;
    if (this.errors.size < 200 || this.errors.has(what)) this.errors.set(what, (this.errors.get(what) ?? 0) + 1);
  }
}

/** Two that are started in vain, one that is not started at all. */
function configOf(): string {
  return [
    'routes:',
    `  ${Tenant.COLD}: { maxInstances: 1, holdTimeout: 60s, startTimeout: 30s }`,
    `  ${Tenant.EVIL}: { maxInstances: 0, holdTimeout: 5s, maxHeld: 200 }`,
    `  ${Tenant.EVIL_HTTP2}: { maxInstances: 0, holdTimeout: 5s, maxHeld: 200, protocol: h2c }`,
    '',
  ].join('\n');
}

function portOf(address: string): number {
  return Number(/:(\d+)(\/|$|\?)/.exec(address)?.[1]);
}
