/** The way of one simulated process to the directory and its bell: it takes time, messages may be lost, and it may be cut off. */
import type { Bell, BellListener, Directory } from '../../../src/cluster/directory.ts';
import type { Owner } from './clock.ts';
import type { Code } from './code.ts';

/** A command without a reply. */
const REPLY_TIMEOUT_MS = 1_500;
const CONNECT_AGAIN_MS = 50;

type Method = (...args: unknown[]) => unknown;

/** What a directory consists of. */
const PARTS = ['eventLog', 'history', 'waits', 'keyPlaces', 'agents'] as const satisfies (keyof Directory)[];

/** What can be done to the way. */
export class DirectoryWay {
  losesMessages = false;
  /** What went this way, by the name of the call. */
  readonly calls = new Map<string, number>();
  #connected = true;
  #generation = 0;
  readonly #told: ((connected: boolean) => void)[] = [];

  count(call: string): void {
    this.calls.set(call, (this.calls.get(call) ?? 0) + 1);
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Calls that are under way before and after are of different connections. */
  get generation(): number {
    return this.#generation;
  }

  onConnected(callback: (connected: boolean) => void): void {
    this.#told.push(callback);
  }

  connects(yes: boolean): void {
    if (yes === this.#connected) return;
    this.#connected = yes;
    this.#generation++;
    for (const tell of this.#told) tell(yes);
  }
}

/** `redis`: where the directory is. `server`: the directory itself. */
export function remoteDirectory(code: Code, owner: Owner, redis: Owner, server: Directory, way: DirectoryWay): Directory {
  const { clock, network } = code;
  const call = (server: object, method: Method, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const { generation } = way;
      const unavailable = (why: string): void => reject(Object.assign(new Error(why), { name: 'DirectoryUnavailable' }));
      if (!way.connected) {
        unavailable('it is away');
        return;
      }
      const overdue = clock.in(REPLY_TIMEOUT_MS, () => unavailable('it does not answer'), owner);
      const answer = (settle: () => void): void =>
        network.send(redis, owner, () => {
          overdue.run = null;
          // The reply of a connection that broke is lost.
          if (way.generation === generation) settle();
          else unavailable('the connection broke');
        });
      network.send(owner, redis, () => {
        Promise.resolve(method.apply(server, args)).then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(error)),
        );
      });
    });
  const remote = <T extends object>(there: T, own: Readonly<Record<string, unknown>>): T =>
    new Proxy(there, {
      get(target, property) {
        if (property === 'connected') return way.connected;
        const name = String(property);
        if (Object.hasOwn(own, name)) return own[name];
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          way.count(name);
          return call(target, value as Method, args);
        };
      },
    });
  return remote(server, {
    ...Object.fromEntries(PARTS.map((part) => [part, remote(server[part], {})])),
    isRemote: true,
    onConnected: way.onConnected.bind(way),
    ready: () => ready(code, owner, way),
    close: async () => {},
  });
}

function ready({ clock }: Code, owner: Owner, way: DirectoryWay): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (way.connected) resolve();
      else clock.in(CONNECT_AGAIN_MS, look, owner);
    };
    look();
  });
}

export function remoteBell({ network }: Code, owner: Owner, redis: Owner, server: Bell, way: DirectoryWay): Bell {
  const hear = (deliver: () => void): void => {
    if (way.losesMessages || !way.connected) return;
    network.send(redis, owner, () => way.connected && deliver());
  };
  return {
    listen: (node, listener) => {
      const far: BellListener = {
        onRing: (ring) => hear(() => listener.onRing(ring)),
        onDemand: (notice) => hear(() => listener.onDemand(notice)),
        onRoutesChanged: () => hear(() => listener.onRoutesChanged()),
      };
      return server.listen(node, far);
    },
    ring: async (node, ring) => {
      way.count(`ring ${ring.t}`);
      if (way.connected) network.send(owner, redis, () => void server.ring(node, ring));
      return way.connected;
    },
    demand: (notice) => {
      way.count('demand');
      if (way.connected) network.send(owner, redis, () => server.demand(notice));
    },
    close: () => server.close(),
  };
}
