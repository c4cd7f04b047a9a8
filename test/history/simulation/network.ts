/** A network in memory, in simulated time: what Node's sockets do as far as anybody here can tell, and ways that are silent, slow or cut. */
import { EventEmitter } from 'node:events';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { Duplex } from 'node:stream';
import { Owner, type SimulatedClock } from './clock.ts';

const require = createRequire(import.meta.url);

/** Bytes on their way before a writer waits. */
const IN_FLIGHT_BYTES_MAX = 65_536;
const LATENCY_MS = { least: 0.05, most: 1.5 };
/** A SYN that nobody answers. */
const CONNECT_TIMEOUT_MS = 60_000;
const FIRST_PORT = 40_000;

/** What is on its way to a process. */
interface Packet {
  readonly deliver: () => void;
  readonly to: Owner;
}

/** The way between one pair of processes, in one direction. */
interface Way {
  silent: boolean;
  /** Nothing overtakes what was sent before. */
  lastAt: number;
  held: Packet[];
}

export class Network {
  readonly clock: SimulatedClock;
  /** HOST:PORT → who listens there. */
  readonly #servers = new Map<string, Listener>();
  readonly #ways = new Map<Owner, Map<Owner, Way>>();
  readonly #sockets = new Set<SimulatedSocket>();
  #nextPort = FIRST_PORT;
  slowMs = 0;

  constructor(clock: SimulatedClock) {
    this.clock = clock;
  }

  reset(): void {
    this.#servers.clear();
    this.#ways.clear();
    this.#sockets.clear();
    this.#nextPort = FIRST_PORT;
    this.slowMs = 0;
  }

  /** Instead of Node's own, before the code that is to be simulated is loaded. */
  install(): void {
    const net = require('node:net') as Record<string, unknown>;
    const connect = (to: { host?: string; port: number; allowHalfOpen?: boolean }): SimulatedSocket => {
      const socket = new SimulatedSocket(this, this.clock.owner, to.allowHalfOpen === true);
      this.#dial(socket, `${to.host ?? '127.0.0.1'}:${to.port}`);
      return socket;
    };
    net.connect = connect;
    net.createConnection = connect;
    net.createServer = (options: { allowHalfOpen?: boolean } = {}, accept?: (socket: SimulatedSocket) => void) =>
      new Listener(this, options.allowHalfOpen === true, accept);
    syncBuiltinESMExports();
  }

  /** What they send arrives when the way is open again, as it would with TCP. */
  silence(a: Owner, b: Owner): void {
    this.#way(a, b).silent = true;
  }

  heal(a: Owner, b: Owner): void {
    const way = this.#way(a, b);
    way.silent = false;
    for (const { deliver, to } of way.held.splice(0)) this.#sendOn(way, deliver, to);
  }

  /** All connections between the two break. What follows from it is the doing of the process whose socket it is. */
  cut(a: Owner, b: Owner): void {
    for (const socket of this.#sockets)
      if ((socket.owner === a && socket.peer?.owner === b) || (socket.owner === b && socket.peer?.owner === a))
        this.clock.in(0, () => socket.breaks('ECONNRESET'), socket.owner);
  }

  /** The process is gone, and its kernel tells everybody. */
  kill(owner: Owner): void {
    owner.state = 'gone';
    for (const [address, server] of this.#servers) if (server.owner === owner) this.#servers.delete(address);
    for (const socket of [...this.#sockets]) if (socket.owner === owner) socket.lost();
  }

  listen(address: string, server: Listener): boolean {
    if (this.#servers.has(address)) return false;
    this.#servers.set(address, server);
    return true;
  }

  unlisten(address: string): void {
    this.#servers.delete(address);
  }

  get freePort(): number {
    return this.#nextPort++;
  }

  add(socket: SimulatedSocket): void {
    this.#sockets.add(socket);
  }

  remove(socket: SimulatedSocket): void {
    this.#sockets.delete(socket);
  }

  /** To `to`, after all that was sent there before. */
  send(from: Owner, to: Owner, deliver: () => void): void {
    const way = this.#way(from, to);
    if (way.silent) way.held.push({ deliver, to });
    else this.#sendOn(way, deliver, to);
  }

  /** To a process that is frozen it comes in its kernel. */
  #sendOn(way: Way, deliver: () => void, to: Owner): void {
    const { clock } = this;
    const at = Math.max(way.lastAt, clock.now + this.slowMs + clock.random.between(LATENCY_MS.least, LATENCY_MS.most));
    way.lastAt = at;
    clock.in(at - clock.now, deliver, to);
  }

  #way(from: Owner, to: Owner): Way {
    let ways = this.#ways.get(from);
    if (ways === undefined) {
      ways = new Map();
      this.#ways.set(from, ways);
    }
    let way = ways.get(to);
    if (way === undefined) {
      way = { silent: false, lastAt: 0, held: [] };
      ways.set(to, way);
    }
    return way;
  }

  #dial(socket: SimulatedSocket, address: string): void {
    const { clock } = this;
    const [host = '', port] = address.split(':');
    socket.remoteAddress = host;
    socket.remotePort = Number(port);
    const server = this.#servers.get(address);
    const refuse = (): void => void clock.in(0, () => socket.breaks('ECONNREFUSED'));
    if (server === undefined) {
      clock.in(this.slowMs + LATENCY_MS.most, refuse);
      return;
    }
    const { owner } = socket;
    const overdue = clock.in(CONNECT_TIMEOUT_MS, () => socket.breaks('ETIMEDOUT'));
    socket.once('close', () => {
      overdue.run = null;
    });
    const way = this.#way(owner, server.owner);
    const syn = (): void => {
      if (this.#servers.get(address) !== server) {
        this.#sendOn(this.#way(server.owner, owner), () => socket.breaks('ECONNREFUSED'), owner);
        return;
      }
      // The kernel accepts, also for a process that is frozen.
      const far = new SimulatedSocket(this, server.owner, server.allowHalfOpen);
      far.join(socket);
      far.remoteAddress = '127.0.0.1';
      far.remotePort = socket.localPort;
      clock.in(0, () => server.take(far), server.owner);
      this.send(server.owner, owner, () => {
        overdue.run = null;
        socket.connected(far);
      });
    };
    // The kernel is not frozen with its processes.
    if (way.silent) way.held.push({ deliver: syn, to: KERNEL });
    else this.#sendOn(way, syn, KERNEL);
  }
}

const KERNEL = new Owner('kernel');

export class SimulatedSocket extends Duplex {
  readonly owner: Owner;
  peer: SimulatedSocket | null = null;
  connecting = true;
  bytesWritten = 0;
  bytesRead = 0;
  remoteAddress = '';
  remotePort = 0;
  readonly localAddress = '127.0.0.1';
  readonly localPort: number;
  readonly remoteFamily = 'IPv4';
  readonly _handle = null;
  readonly #network: Network;
  #inFlight = 0;
  #waiting: (() => void) | null = null;
  #unconnected: (() => void) | null = null;
  #isReset = false;

  constructor(network: Network, owner: Owner, allowHalfOpen: boolean) {
    super({ allowHalfOpen, emitClose: false, decodeStrings: true });
    this.#network = network;
    this.owner = owner;
    this.localPort = network.freePort;
    network.add(this);
  }

  join(peer: SimulatedSocket): void {
    this.peer = peer;
    this.connecting = false;
  }

  connected(peer: SimulatedSocket): void {
    if (this.destroyed) {
      this.#tell(peer, () => peer.breaks('ECONNRESET'));
      return;
    }
    this.join(peer);
    this.emit('connect');
    const unconnected = this.#unconnected;
    this.#unconnected = null;
    unconnected?.();
  }

  /** Its peer, or the way there, has ended it. */
  breaks(code: string): void {
    if (this.destroyed) return;
    this.destroy(Object.assign(new Error(`read ${code}`), { code }));
  }

  /** Its process is gone. */
  lost(): void {
    const { peer } = this;
    this.#network.remove(this);
    if (peer !== null) this.#tell(peer, () => peer.breaks('ECONNRESET'));
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  address(): object {
    return { address: this.localAddress, port: this.localPort, family: this.remoteFamily };
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  resetAndDestroy(): this {
    this.#isReset = true;
    return this.destroy();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#write(chunk, done);
  }

  #write(chunk: Buffer, done: (error?: Error | null) => void): void {
    if (this.connecting) {
      this.#unconnected = () => this.#write(chunk, done);
      return;
    }
    const { peer } = this;
    if (peer === null) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      return;
    }
    // The writer may use its memory again.
    const bytes = Buffer.from(chunk);
    this.bytesWritten += bytes.length;
    this.#inFlight += bytes.length;
    this.#tell(peer, () => this.#arrives(peer, bytes));
    if (this.#inFlight < IN_FLIGHT_BYTES_MAX) done();
    else this.#waiting = done;
  }

  override _final(done: () => void): void {
    this.#finish(done);
  }

  #finish(done: () => void): void {
    if (this.connecting) {
      this.#unconnected = () => this.#finish(done);
      return;
    }
    const { peer } = this;
    if (peer !== null) this.#tell(peer, () => !peer.destroyed && peer.push(null));
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { peer } = this;
    this.#network.remove(this);
    this.#waiting = null;
    if (peer !== null && error === null) {
      const isReset = this.#isReset || this.readableLength > 0;
      if (isReset) this.#tell(peer, () => peer.breaks('ECONNRESET'));
      // FIN was sent when it ended, or the kernel sends it now.
      else if (!this.writableFinished) this.#tell(peer, () => !peer.destroyed && peer.push(null));
    }
    this.#network.clock.in(0, () => this.emit('close', error !== null), this.owner);
    done(error);
  }

  #arrives(peer: SimulatedSocket, bytes: Buffer): void {
    this.#inFlight -= bytes.length;
    if (peer.destroyed) {
      // A kernel answers what nobody reads by RST.
      this.#network.send(peer.owner, this.owner, () => this.breaks('ECONNRESET'));
      return;
    }
    peer.bytesRead += bytes.length;
    peer.push(bytes);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null) this.#network.clock.in(0, waiting, this.owner);
  }

  #tell(peer: SimulatedSocket, deliver: () => void): void {
    this.#network.send(this.owner, peer.owner, deliver);
  }
}

class Listener extends EventEmitter {
  readonly owner: Owner;
  readonly allowHalfOpen: boolean;
  readonly _handle = null;
  readonly #network: Network;
  #address: { address: string; port: number; family: string } | null = null;

  constructor(network: Network, allowHalfOpen: boolean, accept?: (socket: SimulatedSocket) => void) {
    super();
    this.#network = network;
    this.owner = network.clock.owner;
    this.allowHalfOpen = allowHalfOpen;
    if (accept !== undefined) this.on('connection', accept);
  }

  listen({ host = '127.0.0.1', port = 0 }: { host?: string; port?: number }, done?: () => void): this {
    const bound = port === 0 ? this.#network.freePort : port;
    if (!this.#network.listen(`${host}:${bound}`, this)) {
      this.#network.clock.in(0, () => this.emit('error', Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' })));
      return this;
    }
    this.#address = { address: host, port: bound, family: 'IPv4' };
    if (done !== undefined) this.#network.clock.in(0, done);
    return this;
  }

  take(socket: SimulatedSocket): void {
    if (this.#address === null) socket.breaks('ECONNRESET');
    else this.emit('connection', socket);
  }

  address(): object | null {
    return this.#address;
  }

  close(done?: () => void): this {
    if (this.#address !== null) this.#network.unlisten(`${this.#address.address}:${this.#address.port}`);
    this.#address = null;
    if (done !== undefined) this.#network.clock.in(0, done);
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
