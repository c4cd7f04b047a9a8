/** Connections whose bytes are passed on as they are: one slot each, for as long as they last. */
import type { Socket } from 'node:net';
import type { FailureDomain } from '../../boundary.ts';
import type { ClientLimits } from '../../config/listener-settings.ts';
import type { ErrorCode, PullproxyError } from '../../errors.ts';
import { Flag, type ResetCodeValue } from '../../link/frames.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import { type Ownership, ownBytes } from '../../memory/reused-reads.ts';
import { ClientSocket } from '../clients/client-socket.ts';
import type { Origin } from '../clients/origin.ts';
import type { PortClient } from '../clients/port-client.ts';
import { Tunnel } from '../clients/tunnel.ts';
import type { ClientWord } from '../matching/queue-rules.ts';
import { LiveVisit, type VisitEvents } from '../visits/live-visit.ts';
import { causeOf } from '../visits/retry-policy.ts';
import type { VisitFacts } from '../visits/visit-record.ts';
import type { Step } from './before-request.ts';
import { RECORD_HANDSHAKE, readServerName } from './client-hello.ts';
import { ClientPort, type PortLimits } from './client-port.ts';

export interface TcpService extends VisitEvents {
  /** A TLS client has `headTimeoutMs` to say where it wants to go. */
  readonly limits: ClientLimits;
  /** Begins a visit of the route with this name. */
  visitRoute(visit: LiveVisit, name: string): void;
  /** Begins a visit of the route that serves this host. */
  visitHost(visit: LiveVisit, host: string): void;
}

/** The most bytes of a client before there is a slot, and the most that are kept for another stream. */
const EARLY_BYTES_MAX = 16_384;
const EMPTY = Buffer.alloc(0);
/** RFC 8446 section 6.2, RFC 6066 section 3: so that a client sees that nobody has this name, or that nobody came, and not a broken network. */
const ALERT_UNRECOGNIZED_NAME = 112;
const ALERT_INTERNAL_ERROR = 80;
const ALERT_DECODE_ERROR = 50;

/** A port of one application. */
export function tcpPort(service: TcpService, limits: PortLimits, steps: readonly Step[], route: string): ClientPort {
  return new ClientPort('tcp', limits, steps, (socket, origin, gone) => {
    const client = new TcpClient(socket, service, origin, 'tcp', Number.POSITIVE_INFINITY, gone);
    service.visitRoute(client.visit, route);
    return client;
  });
}

/** A port at which TLS clients name their application (RFC 6066 section 3); the handshake itself is the application's. */
export function tlsPort(service: TcpService, limits: PortLimits, steps: readonly Step[]): ClientPort {
  return new ClientPort('tls', limits, steps, (socket, origin, gone) => {
    // A hello that comes in single bytes is not parsed again with each of them.
    let bytesMin = 0;
    const client: TcpClient = new TcpClient(
      socket,
      service,
      origin,
      'tls',
      performance.now() + service.limits.headTimeoutMs,
      gone,
      (early) => {
        if (early.length < bytesMin && early.length < EARLY_BYTES_MAX) return;
        const hello = readServerName(early);
        if (hello.kind === 'incomplete' && early.length < EARLY_BYTES_MAX) {
          bytesMin = hello.bytesMin;
          return;
        }
        client.announced();
        if (hello.kind === 'named') service.visitHost(client.visit, hello.name);
        // No name: only an application that takes any host can be meant.
        else if (hello.kind === 'unnamed') service.visitHost(client.visit, '');
        else client.visit.turnAway(early[0] === RECORD_HANDSHAKE ? alert(ALERT_DECODE_ERROR) : EMPTY);
      },
    );
    return client;
  });
}

/** A fatal alert in a record of its own, as a server says it that has not chosen a version yet. */
function alert(description: number): Buffer {
  return Buffer.from([21, 3, 3, 0, 2, 2, description]);
}

/** `early`: what came is kept. `tunnel`: it is passed on. */
type State = 'early' | 'tunnel' | 'closed';

/** The client's connection. */
class TcpClient extends ClientSocket implements PortClient, FailureDomain {
  readonly visit: TcpVisit;
  #state: State = 'early';
  #tunnel: Tunnel | null = null;
  #announce: ((early: Buffer) => void) | null;
  #inputEnded = false;

  constructor(
    socket: Socket,
    service: TcpService,
    origin: Origin,
    protocol: 'tcp' | 'tls',
    deadline: number,
    gone: (client: TcpClient) => void,
    announce: ((early: Buffer) => void) | null = null,
  ) {
    super(socket, deadline);
    this.#announce = announce;
    this.visit = new TcpVisit(this, service, origin, protocol);
    this.listen(this, {
      data: (chunk) => this.#data(chunk),
      drained: () => this.#tunnel?.clientDrained(),
      ended: () => this.#ended(),
      closed: () => {
        this.#state = 'closed';
        gone(this);
        if (this.#tunnel === null) this.visit.clientGone();
        else this.#tunnel.clientGone(this.#inputEnded && socket.writableFinished);
      },
    });
  }

  get where(): 'client' {
    return 'client';
  }

  fail(): void {
    if (this.#tunnel !== null) this.#tunnel.fail();
    else this.visit.fail();
  }

  /** It is known where it wants to go. */
  announced(): void {
    this.#announce = null;
    this.deadline = Number.POSITIVE_INFINITY;
  }

  enter(tunnel: Tunnel): void {
    this.#state = 'tunnel';
    this.#tunnel = tunnel;
    this.resume();
  }

  timeOut(now: number): void {
    if (this.#announce === null && !this.isIdle(now)) return;
    this.visit.blame('c', 'idle_timeout');
    this.socket.destroy();
  }

  /** A connection has no end that could be waited for but its own. */
  drain(): void {
    if (this.#announce !== null) this.socket.destroy();
  }

  clientVanished(ended: boolean): void {
    if (!ended) this.abort();
    else if (this.#state === 'early') this.socket.destroy();
  }

  #data(chunk: Buffer): void {
    if (this.#tunnel !== null) {
      this.#tunnel.clientData(chunk);
      return;
    }
    const early = this.visit.addEarly(chunk);
    if (early.length >= EARLY_BYTES_MAX && this.visit.state === 'waiting') this.pause();
    this.#announce?.(early);
  }

  #ended(): void {
    this.#inputEnded = true;
    if (this.#tunnel !== null) this.#tunnel.clientEnded();
    // A client that closes while it is held is gone. With a slot it may just have nothing more to say.
    else if (!this.visit.clientEnded()) this.socket.destroy();
  }
}

class TcpVisit extends LiveVisit implements StreamHandler {
  override readonly facts: VisitFacts;
  readonly #client: TcpClient;
  readonly #tcpIdleTimeoutMs: number;
  readonly #origin: Origin;
  /** Kept while it may still have another stream; null: bytes have been passed on. */
  #early: Buffer | null = EMPTY;
  #isCounted = false;

  constructor(client: TcpClient, service: TcpService, origin: Origin, protocol: 'tcp' | 'tls') {
    super(service);
    this.facts = { protocol, client: origin.address, head: null };
    this.#origin = origin;
    this.#client = client;
    this.#tcpIdleTimeoutMs = service.limits.tcpIdleTimeoutMs;
  }

  /** Bytes of a protocol that is not read here say nothing. */
  override get word(): ClientWord {
    return { address: this.#origin.address, isTrusted: false, method: '', target: '', header: () => '' };
  }

  protected override get clientText(): string {
    return this.#origin.text;
  }

  /** It is not known whether these bytes may be sent again. */
  protected override readonly isSafe = false;

  protected override get isOpaque(): boolean {
    return true;
  }

  protected override get isWhole(): boolean {
    return this.#early !== null;
  }

  /** Returns everything that came so far. */
  addEarly(chunk: Buffer): Buffer {
    if (this.isOver) return EMPTY;
    const early = this.#early ?? EMPTY;
    if (this.stream !== null && early.length + chunk.length > EARLY_BYTES_MAX) {
      // More than is kept for a second attempt.
      this.#pass().clientData(chunk);
      return EMPTY;
    }
    this.took(chunk.length);
    this.#early = early.length === 0 ? ownBytes(chunk) : Buffer.concat([early, chunk]);
    if (this.stream !== null) this.stream.write(chunk);
    else if (!this.grow(chunk.length)) this.#client.pause();
    return this.#early;
  }

  /** The client sends no more. False when it has no slot yet. */
  clientEnded(): boolean {
    if (this.state !== 'open') return false;
    this.#pass().clientEnded();
    return true;
  }

  protected override begin(): void {
    this.#count(1);
    this.stream = this.open(this, Flag.FRESH, this.#early ?? EMPTY);
    this.#client.probe();
    this.#client.watchIdle(this.#tcpIdleTimeoutMs);
    this.#client.resume();
  }

  override refuse(error: PullproxyError): void {
    if (this.isOver) return;
    const isTls = this.facts.protocol === 'tls';
    const said = isTls ? alert(error.code === 'unknown_route' ? ALERT_UNRECOGNIZED_NAME : ALERT_INTERNAL_ERROR) : EMPTY;
    this.failed(error.code, said.length);
    this.#sayLast(said);
  }

  /** It says nothing that could be understood. `said`: last words for the client. */
  turnAway(said: Buffer): void {
    this.end('P', 'bad_request');
    this.#sayLast(said);
  }

  #sayLast(said: Buffer): void {
    if (said.length > 0) this.#client.socket.write(said);
    this.#client.socket.destroySoon();
  }

  override breakOff(code: ErrorCode): void {
    this.leave();
    this.failed(code);
    this.abort();
  }

  clientGone(): void {
    if (this.isOver) return;
    this.sayLeft();
    this.leave();
    this.end('C', 'client_closed');
  }

  onData(chunk: Buffer): Ownership {
    return this.#pass().onData(chunk);
  }

  onEnd(): void {
    const reached = this.bytesIn > 0;
    if (this.streamFailed({ cause: 'application_silent', reached, reused: false }) !== null) this.#pass().onEnd();
  }

  onDrain(): void {
    this.#client.resume();
  }

  onReset(code: ResetCodeValue, reached: boolean, reused: boolean): void {
    this.stream = null;
    const why = this.streamFailed({ cause: causeOf(code), reached, reused });
    if (why !== null) this.breakOff(why);
  }

  protected override rewind(): number {
    this.#count(-1);
    this.#client.deadline = Number.POSITIVE_INFINITY;
    return this.#early?.length ?? 0;
  }

  protected override release(): void {
    this.#count(-1);
    this.#early = null;
  }

  /** It has a slot from now on, or no longer. */
  #count(change: 1 | -1): void {
    if (this.route === null || this.#isCounted === (change === 1)) return;
    this.#isCounted = change === 1;
    this.route.tunnels += change;
  }

  protected override abort(): void {
    this.#client.abort();
  }

  /** Both sides are there: bytes flow. */
  #pass(): Tunnel {
    const tunnel = new Tunnel(this.#client, this, this.link, this.stream as Stream, 0, null);
    this.stream = null;
    this.#early = null;
    this.#client.enter(tunnel);
    return tunnel;
  }
}
