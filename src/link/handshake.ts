/**
 * How a link begins:
 *
 *     linker                                node
 *       │ HELLO {v, route, instance, nonce …} ▶│
 *       │◀ CHALLENGE {v, node, nonce, proofs}  │   the node proves the secret first: an address may come from a directory
 *       │ PROOF {proof} ──────────────────────▶│
 *       │◀────────────────────────── WELCOME {}│   or, from either side at any point, REFUSE {reason}
 */
import type { Socket } from 'node:net';
import { guard } from '../boundary.ts';
import { isInstanceId, isStartId } from '../config/ids.ts';
import { isRouteName } from '../config/route-name.ts';
import { LinkProtocolError } from '../errors.ts';
import type { ReadMemory } from '../reused-reads.ts';
import { Frame, PROTOCOL_VERSION } from './frames.ts';
import { parseJson } from './json.ts';
import { Link, type LinkTiming } from './link.ts';
import { newNonce, prove, proves, type Transcript } from './proof.ts';

export const HANDSHAKE_TIMEOUT_MS = 5_000;
/** A node accepts several secrets of one route while they are being rotated. */
export const SECRETS_MAX = 8;
const CONCURRENCY_MAX = 1_000_000;
/** How much of a peer's REFUSE is reported. */
const REASON_LETTERS_MAX = 200;

/** What a linker says of itself. */
export interface Hello {
  readonly route: string;
  readonly instance: string;
  /** Start time in ms: larger is newer. */
  readonly seq: number;
  readonly concurrency: number;
  readonly startId?: string;
  /** Of the linker's package, for people to see */
  readonly version?: string;
  /** Before each stream the linker is to hear whose it is (CLIENT). A node that does not know this key says nothing. */
  readonly tellClients?: boolean;
  /** The linker understands PARK and UNPARK. */
  readonly parks?: boolean;
  /** The dialling side is a node that relays for a linker which can't dial here itself. */
  readonly relay?: boolean;
}

export interface AcceptOptions {
  readonly node: string;
  /** The secrets that allow a linker to serve `route`; none: nobody may. */
  readonly secrets: (route: string) => readonly string[];
  readonly timing?: LinkTiming;
  readonly timeoutMs?: number;
  /** What the socket reads into, if that is used again. */
  readonly memory?: ReadMemory;
  /** Must give the link its role before it returns. `secret`: the one that was proved. */
  readonly ready: (link: Link, hello: Hello, secret: string) => void;
  readonly failed: (reason: string) => void;
}

export interface DialOptions {
  readonly hello: Hello;
  readonly secret: string;
  readonly timing?: LinkTiming;
  readonly timeoutMs?: number;
  /** What the socket reads into, if that is used again. */
  readonly memory?: ReadMemory;
  /** Must give the link its role before it returns. */
  readonly ready: (link: Link, node: string) => void;
  readonly failed: (reason: string) => void;
}

/** The node's side, on a socket that has just been accepted. */
export function acceptLink(socket: Socket, options: AcceptOptions): void {
  const nonce = newNonce();
  let hello: { said: Transcript; value: Hello; secrets: readonly string[] } | null = null;
  const shake = new Handshake(socket, options, (type, payload) => {
    if (type === Frame.HELLO && hello === null) {
      const value = parseHello(payload);
      const secrets = options.secrets(value.route).slice(0, SECRETS_MAX);
      if (secrets.length === 0) return shake.refuse(`no linker may serve the route ${value.route}`);
      const said = { hello: Buffer.from(payload), node: options.node, nonce };
      hello = { said, value, secrets };
      const proofs = secrets.map((secret) => prove(secret, 'node', said));
      shake.link.sendJson(Frame.CHALLENGE, { v: PROTOCOL_VERSION, node: options.node, nonce, proofs });
      return;
    }
    if (type === Frame.PROOF && hello !== null) {
      const { said, value, secrets } = hello;
      const { proof } = parseJson(payload);
      const secret = secrets.find((one) => proves(proof, one, 'linker', said));
      if (secret === undefined) return shake.refuse('the linker does not know the secret');
      shake.link.sendJson(Frame.WELCOME, {});
      shake.succeed(() => options.ready(shake.link, value, secret));
      return;
    }
    shake.unexpected(type, payload);
  });
}

/** The linker's side, on a socket that has just connected. */
export function dialLink(socket: Socket, options: DialOptions): void {
  let node: string | null = null;
  const shake = new Handshake(socket, options, (type, payload) => {
    if (type === Frame.CHALLENGE && node === null) {
      const challenge = parseJson(payload);
      if (challenge.v !== PROTOCOL_VERSION)
        throw new LinkProtocolError(`the node speaks ${versionWords(challenge.v)}, this linker ${PROTOCOL_VERSION}`);
      if (typeof challenge.node !== 'string' || typeof challenge.nonce !== 'string' || !Array.isArray(challenge.proofs))
        throw new LinkProtocolError('malformed CHALLENGE');
      const said = { hello, node: challenge.node, nonce: challenge.nonce };
      const known = challenge.proofs.slice(0, SECRETS_MAX).some((proof) => proves(proof, options.secret, 'node', said));
      if (!known) return shake.refuse('the node does not know the secret');
      node = challenge.node;
      shake.link.sendJson(Frame.PROOF, { proof: prove(options.secret, 'linker', said) });
      return;
    }
    if (type === Frame.WELCOME && node !== null) {
      const id = node;
      shake.succeed(() => options.ready(shake.link, id));
      return;
    }
    shake.unexpected(type, payload);
  });
  const hello = shake.link.sendJson(Frame.HELLO, { v: PROTOCOL_VERSION, ...options.hello, nonce: newNonce() });
}

/** What both sides share: the deadline, refusing, and that exactly one of `ready` and `failed` is called. */
class Handshake {
  readonly link: Link;
  readonly #failed: (reason: string) => void;
  readonly #deadline: NodeJS.Timeout;
  #over = false;

  constructor(
    socket: Socket,
    options: Pick<DialOptions, 'timing' | 'timeoutMs' | 'memory' | 'failed'>,
    step: (type: number, payload: Buffer) => void,
  ) {
    this.#failed = options.failed;
    this.link = new Link(socket, step, options.timing, options.memory);
    this.link.onHandshakeDown = (reason) => this.#end(() => this.#failed(reason));
    const timeoutMs = options.timeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    const overdue = guard(this.link, () => this.link.close(`no handshake within ${timeoutMs} ms`));
    this.#deadline = setTimeout(overdue, timeoutMs);
  }

  succeed(ready: () => void): void {
    this.#end(ready);
  }

  refuse(reason: string): void {
    this.link.sendJson(Frame.REFUSE, { reason });
    this.link.close(reason);
  }

  unexpected(type: number, payload: Buffer): void {
    if (type !== Frame.REFUSE) throw new LinkProtocolError(`frame type ${type} in the handshake`);
    const { reason } = parseJson(payload);
    this.link.close(`refused by the peer: ${typeof reason === 'string' ? reason.slice(0, REASON_LETTERS_MAX) : 'no reason given'}`);
  }

  #end(how: () => void): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#deadline);
    how();
  }
}

function parseHello(payload: Buffer): Hello {
  const value = parseJson(payload);
  if (value.v !== PROTOCOL_VERSION)
    throw new LinkProtocolError(`the linker speaks ${versionWords(value.v)}, this node ${PROTOCOL_VERSION}`);
  const { route, instance, seq, concurrency, startId, version, tellClients, parks, relay, nonce } = value;
  if (!isRouteName(route)) throw new LinkProtocolError('HELLO with a malformed route');
  if (!isInstanceId(instance)) throw new LinkProtocolError('HELLO with a malformed instance id');
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) throw new LinkProtocolError('HELLO with a malformed seq');
  if (typeof concurrency !== 'number' || !Number.isInteger(concurrency) || concurrency < 1 || concurrency > CONCURRENCY_MAX)
    throw new LinkProtocolError('HELLO with a malformed concurrency');
  if (startId !== undefined && !isStartId(startId)) throw new LinkProtocolError('HELLO with a malformed start id');
  if (version !== undefined && (typeof version !== 'string' || !/^[\w.+-]{1,64}$/.test(version)))
    throw new LinkProtocolError('HELLO with a malformed version');
  if (typeof nonce !== 'string' || nonce.length < 16) throw new LinkProtocolError('HELLO without a nonce');
  return {
    route,
    instance,
    seq,
    concurrency,
    ...(startId === undefined ? {} : { startId }),
    ...(version === undefined ? {} : { version }),
    ...(tellClients === true ? { tellClients } : {}),
    ...(parks === true ? { parks } : {}),
    ...(relay === true ? { relay } : {}),
  };
}

/** A stranger's JSON is never turned into text unseen: `{"toString":1}` makes String() throw, and a text may be of any length. */
function versionWords(version: unknown): string {
  return `protocol version ${typeof version === 'number' ? version : '?'}`;
}
