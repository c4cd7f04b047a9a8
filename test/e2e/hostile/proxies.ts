/** The three proxies, each in front of the same application, with the same limits. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../src/linker/free-port.ts';
import { accepts, Children } from '../../bench/children.ts';

export const PER_ADDRESS_MAX = 20;

export interface TestedProxy {
  readonly name: 'nginx' | 'HAProxy' | 'pullproxy';
  readonly port: number;
}

export class Proxies {
  readonly all: TestedProxy[] = [];
  readonly #children = new Children();
  readonly #directory = mkdtempSync(join(tmpdir(), 'pullproxy-hostile-'));

  async start(appPort: number, names: readonly TestedProxy['name'][]): Promise<void> {
    for (const name of names) {
      const port = name === 'pullproxy' ? await this.#pullproxy(appPort) : await this.#other(name, appPort);
      this.all.push({ name, port });
    }
  }

  async stop(): Promise<void> {
    await this.#children.stopAll();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #pullproxy(appPort: number): Promise<number> {
    const limits = ['--head-timeout', '1s', '--stall-timeout', '1s', '--keep-alive-timeout', '1s'];
    const ports = ['--listen', 'http://127.0.0.1:0', '--backend', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
    const many = ['--connections-per-address-max', String(PER_ADDRESS_MAX)];
    const env = { PULLPROXY_SECRET: 'a secret for hostile input' };
    const { ready } = await this.#children.pullproxy(['node', ...ports, ...limits, ...many], env);
    const proxy = ['--proxy', String(ready.backend), '--route', '*', '--app', `127.0.0.1:${appPort}`, '--concurrency', '50'];
    await this.#children.pullproxy(['linker', ...proxy], env);
    return Number(new URL((ready.listen as string[])[0] as string).port);
  }

  async #other(name: 'nginx' | 'HAProxy', appPort: number): Promise<number> {
    const port = await freePort();
    const file = join(this.#directory, `${name}.conf`);
    mkdirSync(join(this.#directory, 'temporary'), { recursive: true });
    writeFileSync(file, name === 'nginx' ? nginxConfig(this.#directory, port, appPort) : haproxyConfig(port, appPort));
    if (name === 'nginx') this.#children.start('nginx', ['-c', file, '-e', join(this.#directory, 'nginx.log')]);
    else this.#children.start('haproxy', ['-f', file, '-q']);
    await accepts(port);
    return port;
  }
}

/** `nginx/1.22.1` and `HAProxy 2.6.12`. */
export function versions(): Record<string, string> {
  const haproxy = /version (\d+\.\d+\.\d+)/.exec(execFileSync('haproxy', ['-v'], { encoding: 'utf8' }))?.[1];
  // It says so on stderr.
  const nginx = /nginx\/(\S+)/.exec(execFileSync('sh', ['-c', 'nginx -v 2>&1'], { encoding: 'utf8' }))?.[1];
  return { nginx: `nginx ${nginx ?? ''}`, HAProxy: `HAProxy ${haproxy ?? ''}` };
}

function nginxConfig(directory: string, port: number, appPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/temporary/${name};`);
  return `
daemon off; pid ${directory}/nginx.pid; worker_processes 1; error_log ${directory}/nginx.log crit;
events { worker_connections 1024; }
http {
  access_log off; ${temporary.join(' ')}
  client_header_timeout 1s; client_body_timeout 1s; send_timeout 1s; keepalive_timeout 1s; proxy_read_timeout 5s;
  limit_conn_zone $binary_remote_addr zone=addresses:1m;
  upstream application { server 127.0.0.1:${appPort}; keepalive 8; }
  server {
    listen 127.0.0.1:${port};
    limit_conn addresses ${PER_ADDRESS_MAX};
    location / {
      proxy_pass http://application;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    }
  }
}
`;
}

function haproxyConfig(port: number, appPort: number): string {
  return `
defaults
  mode http
  timeout connect 5s
  timeout client 1s
  timeout server 5s
  timeout http-request 1s
  timeout http-keep-alive 1s
frontend f
  bind 127.0.0.1:${port}
  stick-table type ip size 100 store conn_cur
  tcp-request connection track-sc0 src
  tcp-request connection reject if { sc0_conn_cur gt ${PER_ADDRESS_MAX} }
  default_backend b
backend b
  http-reuse safe
  server s 127.0.0.1:${appPort}
`;
}
