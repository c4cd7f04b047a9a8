/** Machines on a network of their own, as network namespaces that a bridge connects. Needs root and iproute2. */
import { execFileSync, spawnSync } from 'node:child_process';

let lans = 0;

export class Lan {
  readonly #prefix = `pp${process.pid}-${++lans}`;
  readonly #machines: string[] = [];

  constructor() {
    this.#add('switch');
    this.run('switch', 'ip', 'link', 'add', 'bridge', 'type', 'bridge');
    this.run('switch', 'ip', 'link', 'set', 'dev', 'bridge', 'up');
  }

  /** A machine whose interface eth0 has `address` (with its prefix length). */
  machine(name: string, address: string): void {
    this.#add(name);
    this.#connect(name, 'eth0', 'switch', name);
    this.run('switch', 'ip', 'link', 'set', 'dev', name, 'master', 'bridge');
    this.run(name, 'ip', 'address', 'add', address, 'dev', 'eth0');
  }

  /** A machine behind `router`, which is its way to all others. */
  behind(router: string, name: string, address: string, routerAddress: string): void {
    this.#add(name);
    this.#connect(name, 'eth0', router, 'inside');
    this.run(name, 'ip', 'address', 'add', address, 'dev', 'eth0');
    this.run(router, 'ip', 'address', 'add', routerAddress, 'dev', 'inside');
    this.run(name, 'ip', 'route', 'add', 'default', 'via', routerAddress.replace(/\/.*/, ''));
  }

  /** The command before a program, so that it runs at the machine. */
  at(name: string): string[] {
    return ['ip', 'netns', 'exec', this.#full(name)];
  }

  /** @throws Error with what it wrote, when it fails */
  run(name: string, ...words: readonly string[]): string {
    const [program = '', ...args] = [...this.at(name), ...words];
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** The cable is pulled, at the switch. */
  unplug(name: string): void {
    this.run('switch', 'ip', 'link', 'set', 'dev', name, 'down');
  }

  plugIn(name: string): void {
    this.run('switch', 'ip', 'link', 'set', 'dev', name, 'up');
  }

  remove(): void {
    for (const name of this.#machines) spawnSync('ip', ['netns', 'delete', name]);
  }

  #full(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  #add(name: string): void {
    execFileSync('ip', ['netns', 'add', this.#full(name)]);
    this.#machines.push(this.#full(name));
    this.run(name, 'ip', 'link', 'set', 'dev', 'lo', 'up');
  }

  #connect(a: string, nameA: string, b: string, nameB: string): void {
    this.run(a, 'ip', 'link', 'add', nameA, 'type', 'veth', 'peer', 'name', nameB, 'netns', this.#full(b));
    this.run(a, 'ip', 'link', 'set', 'dev', nameA, 'up');
    this.run(b, 'ip', 'link', 'set', 'dev', nameB, 'up');
  }
}
