/** Connections whose bytes are passed on as they are: one slot each, for as long as they last. */
import type { Socket } from 'node:net';
import { type FailureDomain, guard } from '../../boundary.ts';
import type { ClientLimits } from '../../config/listener-settings.ts';
import type { PullproxyError } from '../../errors.ts';
import { Flag, ResetCode, type ResetCodeValue } from '../../link/frames.ts';
import type { NodeLink } from '../../link/node-link.ts';
import type { Stream, StreamHandler } from '../../link/stream.ts';
import { ownBytes } from '../../memory/reused-reads.ts';
import { ClientSocket } from '../clients/client-socket.ts';
import type { Origin } from '../clients/origin.ts';
import type { PortClient } from '../clients/port-client.ts';
import { Tunnel } from '../clients/tunnel.ts';
import type { Lender } from '../matching/slots.ts';
import { Visit } from '../visits/visit.ts';
import type { VisitFacts } from '../visits/visit-record.ts';
import type { Step } from './before-request.ts';
import { RECORD_HANDSHAKE, readServerName } from './client-hello.ts';
import { ClientPort, type PortLimits } from './client-port.ts';

export interface TcpService {
  /** A TLS client has `headTimeoutMs` to say where it wants to go. */
  readonly limits: ClientLimits;
  /** Begins a visit of the route with this name. */
  visitRoute(visit: Visit, name: string): void;
  /** Begins a visit of the route that serves this host. */
  visitHost(visit: Visit, host: string): void;
  leave(visit: Visit): void;
  retry(visit: Visit): void;
}

/** What a client may send before a slot is there. */
const EARLY_BYTES_MAX = 16_384;
const ATTEMPTS_MAX = 3;
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
    // A hello that comes in single bytes is not read anew with each of them.
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
        else client.visit.end(early[0] === RECORD_HANDSHAKE ? alert(ALERT_DECODE_ERROR) : EMPTY);
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
    socket.on(
      'data',
      guard(this, (chunk: Buffer) => this.#data(chunk)),
    );
    socket.on(
      'drain',
      guard(this, () => this.#tunnel?.clientDrained()),
    );
    socket.on(
      'end',
      guard(this, () => this.#ended()),
    );
    socket.on('error', () => {});
    const closed = (): void => {
      const inOrder = this.#inputEnded && socket.writableFinished;
      this.#state = 'closed';
      gone(this);
      this.visit.clientGone();
      this.#tunnel?.clientGone(inOrder);
    };
    socket.on('close', guard(this, closed));
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
    this.probe();
    this.resume();
  }

  timeOut(now: number): void {
    if (this.#announce === null && !this.isIdle(now)) return;
    this.visit.record?.blame('c', 'idle_timeout');
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
    if (early.length >= EARLY_BYTES_MAX) this.pause();
    this.#announce?.(early);
  }

  #ended(): void {
    this.#inputEnded = true;
    if (this.#tunnel !== null) this.#tunnel.clientEnded();
    // A client that closes while it is held is gone. With a slot it may just have nothing more to say.
    else if (!this.visit.clientEnded()) this.socket.destroy();
  }
}

/** `opened`: it has a stream, of which nothing has come yet. */
type VisitState = 'waiting' | 'opened' | 'over';

class TcpVisit extends Visit implements StreamHandler {
  override readonly facts: VisitFacts;
  readonly #client: TcpClient;
  readonly #service: TcpService;
  readonly #origin: Origin;
  #state: VisitState = 'waiting';
  #early: Buffer = EMPTY;
  #stream: Stream | null = null;
  #link: NodeLink | null = null;

  constructor(client: TcpClient, service: TcpService, origin: Origin, protocol: 'tcp' | 'tls') {
    super(performance.now());
    this.facts = { protocol, client: origin.address, head: null };
    this.#origin = origin;
    this.#client = client;
    this.#service = service;
  }

  override get isOver(): boolean {
    return this.#state === 'over';
  }

  /** Returns everything that came so far. */
  addEarly(chunk: Buffer): Buffer {
    if (this.#state === 'over') return EMPTY;
    if (this.#state === 'opened') {
      // The application has not said a word, and the client goes on: from now on there is no second attempt.
      this.#pass().clientData(chunk);
      return EMPTY;
    }
    this.#early = this.#early.length === 0 ? ownBytes(chunk) : Buffer.concat([this.#early, chunk]);
    if (!this.grow(chunk.length)) this.#client.pause();
    return this.#early;
  }

  /** The client sends no more. False when nobody serves it yet. */
  clientEnded(): boolean {
    if (this.#state !== 'opened') return false;
    this.#pass().clientEnded();
    return true;
  }

  override serve(lender: Lender): void {
    this.#state = 'opened';
    this.#link = lender.link;
    // Whether bytes are a good answer nobody here can tell.
    lender.trust?.answered(200);
    const client = lender.link.tellsClients ? this.#origin.text : '';
    this.#stream = lender.link.open(this, this.record === null ? Flag.FRESH : Flag.FRESH | Flag.TELL, this.#early, client);
    this.#client.watchIdle(this.#service.limits.tcpIdleTimeoutMs);
    this.#client.resume();
  }

  override refuse(error: PullproxyError): void {
    const said =
      this.facts.protocol === 'tls' ? alert(error.code === 'unknown_route' ? ALERT_UNRECOGNIZED_NAME : ALERT_INTERNAL_ERROR) : EMPTY;
    this.#noteEarly();
    this.record?.refused(error, said.length);
    this.end(said);
  }

  /** `said`: last words for the client. */
  end(said: Buffer): void {
    this.#state = 'over';
    if (said.length > 0) this.#client.socket.write(said);
    this.#client.socket.destroySoon();
  }

  override fail(): void {
    const [state, stream] = [this.#state, this.#stream];
    this.#state = 'over';
    this.#stream = null;
    if (state === 'waiting') this.#service.leave(this);
    else if (state === 'opened' && stream !== null) this.#link?.reset(stream, ResetCode.CANCEL);
    this.#client.abort();
    this.record?.end('I', 'internal_error');
  }

  clientGone(): void {
    if (this.#state !== 'over') {
      this.#noteEarly();
      this.record?.end('C', 'client_closed');
    }
    if (this.#state === 'waiting') this.#service.leave(this);
    else if (this.#state === 'opened') this.#link?.reset(this.#stream as Stream, ResetCode.CANCEL);
    this.#state = 'over';
  }

  onData(chunk: Buffer): boolean {
    return this.#pass().onData(chunk);
  }

  onEnd(): void {
    this.#pass().onEnd();
  }

  onConnected(microseconds: number): void {
    this.record?.connected(microseconds);
  }

  onDrain(): void {
    this.#client.resume();
  }

  onReset(code: ResetCodeValue, reached: boolean): void {
    this.#stream = null;
    if (this.#state !== 'opened') return;
    if (!reached && this.attempts < ATTEMPTS_MAX) {
      this.#state = 'waiting';
      this.#client.deadline = Number.POSITIVE_INFINITY;
      this.heldBytes = this.#early.length;
      this.#service.retry(this);
      return;
    }
    this.#state = 'over';
    this.#noteEarly();
    if (code === ResetCode.LINK_LOST) this.record?.end('D', 'link_lost');
    else this.record?.end('S', code === ResetCode.APP_REFUSED ? 'application_refused' : 'application_broke_off');
    this.#client.abort();
  }

  #noteEarly(): void {
    if (this.record !== null) this.record.bytesIn = this.#early.length;
  }

  /** Both sides are there: bytes flow, and the visit is over. */
  #pass(): Tunnel {
    this.#state = 'over';
    this.#noteEarly();
    this.#early = EMPTY;
    const tunnel = new Tunnel(this.#client, this.#link as NodeLink, this.#stream as Stream, 0, this.record);
    this.#client.enter(tunnel);
    return tunnel;
  }
}
