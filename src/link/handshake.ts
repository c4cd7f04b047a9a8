/**
 * How a link begins:
 *
 *     linker                                     node
 *       │ HELLO {v, max, can, route, nonce, at …} ─────▶│
 *       │◀ CHALLENGE {v, can, node, nonce}              │   the same for every HELLO, whether the route has a secret or not
 *       │ PROOF {proof} ───────────────────────────────▶│   the linker proves the secret first, see proof.ts
 *       │◀ WELCOME {proof}                              │   the node does: an address may come from a directory
 *                                                           or, from either side at any point, REFUSE {reason}
 *
 * In version 1 CHALLENGE has the node's proofs, and WELCOME has none.
 */
import type { Socket } from 'node:net';
import { guard } from '../boundary.ts';
import { isNodeId } from '../config/ids.ts';
import { LinkProtocolError } from '../errors.ts';
import type { ReadMemory } from '../memory/reused-reads.ts';
import { FEATURES, Frame, PROTOCOL_VERSION } from './frames.ts';
import { type Hello, parseHello, type SaidHello, sharedFeatures } from './hello.ts';
import { parseJson, refusalWords } from './json.ts';
import { Link, type LinkTiming } from './link.ts';
import { channelBinding, newNonce, prove, provenSecret, SECRETS_MAX, type Transcript } from './proof.ts';
import { nodeProofsV1, provesV1, proveV1, type TranscriptV1 } from './proof-v1.ts';

export type { Hello };

export const HANDSHAKE_TIMEOUT_MS = 5_000;
/** The same text, whether the route or a secret of it exists or not. */
const NOT_PROVED = 'the linker has not proved a secret that counts for its route here';

export interface AcceptOptions {
  readonly node: string;
  /** HOST:PORT at which the directory says that this node is. */
  readonly address?: () => string;
  /** The secrets that allow a linker to serve `route`; none: no linker may. */
  readonly secrets: (route: string) => readonly string[];
  /** The oldest protocol version that a linker may speak; without it the newest. */
  readonly versionMin?: number;
  readonly timing?: LinkTiming;
  readonly timeoutMs?: number;
  /** The buffer that the socket reads into, if that is used again. */
  readonly memory?: ReadMemory;
  /** Must give the link its role before it returns. `secret`: the one that was proved. */
  readonly ready: (link: Link, hello: Hello, secret: string) => void;
  readonly failed: (reason: string) => void;
}

export interface DialOptions {
  readonly hello: Hello;
  /** HOST:PORT that was dialled, where another node or the directory said it: only the node that is known by it there may answer. */
  readonly at?: string;
  readonly secret: string;
  /** The oldest protocol version that the node may speak; without it the newest. */
  readonly versionMin?: number;
  readonly timing?: LinkTiming;
  readonly timeoutMs?: number;
  /** The buffer that the socket reads into, if that is used again. */
  readonly memory?: ReadMemory;
  /** Must give the link its role before it returns. */
  readonly ready: (link: Link, node: string) => void;
  readonly failed: (reason: string) => void;
}

type Step = (type: number, payload: Buffer) => void;

/** The node's side, on a socket that has just been accepted. */
export function acceptLink(socket: Socket, options: AcceptOptions): void {
  let next: Step | null = null;
  const shake = new Handshake(socket, options, (type, payload) => {
    if (type === Frame.HELLO && next === null) next = challenge(shake, payload, options);
    else if (type === Frame.PROOF && next !== null) next(type, payload);
    else shake.unexpected(type, payload);
  });
}

/** Answers a HELLO; returns what takes the linker's PROOF. */
function challenge(shake: Handshake, payload: Buffer, options: AcceptOptions): Step {
  const { node, versionMin = PROTOCOL_VERSION } = options;
  const said = parseHello(payload);
  const version = Math.min(said.most, PROTOCOL_VERSION);
  if (version < said.least || version < versionMin)
    throw new LinkProtocolError(`the linker speaks link protocol ${rangeOf(said)}, this node ${rangeOf({ least: versionMin })}`);
  const hello = Buffer.from(payload);
  const secrets = options.secrets(said.hello.route).slice(0, SECRETS_MAX);
  const nonce = newNonce();
  if (version === 1) return challengeV1(shake, said, { hello, node, nonce }, secrets, options);
  const sent = shake.link.sendJson(Frame.CHALLENGE, { v: version, can: FEATURES, node, nonce });
  shake.link.features = said.features;
  return (_type, answer) => {
    const transcript: Transcript = { hello, challenge: sent, channel: channelBinding(shake.link.socket) };
    const secret = provenSecret(parseJson(answer).proof, secrets, 'linker', transcript);
    if (secret === undefined) return shake.refuse(NOT_PROVED, `${NOT_PROVED}: ${said.hello.route}`);
    const { at } = said;
    // A man in the middle passes the handshake on, or the address in the directory is old.
    if (at !== null && at !== options.address?.())
      return shake.refuse(`the linker dialled ${at}, which is not the address of node ${node}`);
    shake.link.sendJson(Frame.WELCOME, { proof: prove(secret, 'node', transcript) });
    shake.succeed(() => options.ready(shake.link, said.hello, secret));
  };
}

function challengeV1(shake: Handshake, { hello }: SaidHello, said: TranscriptV1, secrets: readonly string[], options: AcceptOptions): Step {
  shake.link.sendJson(Frame.CHALLENGE, { v: 1, node: said.node, nonce: said.nonce, proofs: nodeProofsV1(secrets, said) });
  return (_type, answer) => {
    const { proof } = parseJson(answer);
    const secret = secrets.find((one) => provesV1(proof, one, 'linker', said));
    if (secret === undefined) return shake.refuse(NOT_PROVED, `${NOT_PROVED}: ${hello.route}`);
    shake.link.sendJson(Frame.WELCOME, {});
    shake.succeed(() => options.ready(shake.link, hello, secret));
  };
}

/** The linker's side, on a socket that has just connected. */
export function dialLink(socket: Socket, options: DialOptions): void {
  const { versionMin = PROTOCOL_VERSION, at } = options;
  let next: Step | null = null;
  const shake = new Handshake(socket, options, (type, payload) => {
    if (type === Frame.CHALLENGE && next === null) next = answerChallenge(shake, hello, payload, options);
    else if (type === Frame.WELCOME && next !== null) next(type, payload);
    else shake.unexpected(type, payload);
  });
  // A node of 0.1 accepts only its own version, and ignores `max`. The proofs cover `max`, so removing it does not lead to an older version.
  const said = {
    v: versionMin,
    max: PROTOCOL_VERSION,
    can: FEATURES,
    ...options.hello,
    ...(at === undefined ? {} : { at }),
    nonce: newNonce(),
  };
  const hello = shake.link.sendJson(Frame.HELLO, said);
}

/** Proves the secret to the node; returns what takes its WELCOME. */
function answerChallenge(shake: Handshake, hello: Buffer, payload: Buffer, options: DialOptions): Step {
  const { versionMin = PROTOCOL_VERSION, secret } = options;
  const { v, node, nonce, proofs, can } = parseJson(payload);
  if (v !== 1 && v !== PROTOCOL_VERSION) throw new LinkProtocolError('CHALLENGE without a protocol version that this linker knows');
  if (v < versionMin) throw new LinkProtocolError(`the node speaks link protocol ${v}, this linker ${rangeOf({ least: versionMin })}`);
  if (!isNodeId(node) || typeof nonce !== 'string') throw new LinkProtocolError('malformed CHALLENGE');
  // It would take the agent for an instance.
  if (options.hello.agent === true && !sharedFeatures(can).has('agent'))
    throw new LinkProtocolError('the node does not know agents: it is too old');
  if (v === 1) return answerChallengeV1(shake, { hello, node, nonce }, proofs, options);
  shake.link.features = sharedFeatures(can);
  const transcript: Transcript = { hello, challenge: Buffer.from(payload), channel: channelBinding(shake.link.socket) };
  shake.link.sendJson(Frame.PROOF, { proof: prove(secret, 'linker', transcript) });
  return (_type, answer) => {
    if (provenSecret(parseJson(answer).proof, [secret], 'node', transcript) === undefined)
      return shake.refuse('the node does not know the secret');
    shake.succeed(() => options.ready(shake.link, node));
  };
}

function answerChallengeV1(shake: Handshake, said: TranscriptV1, proofs: unknown, { secret, ready }: DialOptions): Step {
  if (!Array.isArray(proofs)) throw new LinkProtocolError('malformed CHALLENGE');
  const known = proofs.slice(0, SECRETS_MAX).some((proof) => provesV1(proof, secret, 'node', said));
  if (known) shake.link.sendJson(Frame.PROOF, { proof: proveV1(secret, 'linker', said) });
  else shake.refuse('the node does not know the secret');
  return () => shake.succeed(() => ready(shake.link, said.node));
}

/** Shared by both sides: the deadline, the refusal, and that exactly one of `ready` and `failed` is called. */
class Handshake {
  readonly link: Link;
  readonly #failed: (reason: string) => void;
  readonly #deadline: NodeJS.Timeout;
  #over = false;

  constructor(socket: Socket, options: Pick<DialOptions, 'timing' | 'timeoutMs' | 'memory' | 'failed'>, step: Step) {
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

  /** `reason` is what the peer hears, `why` what this side logs. */
  refuse(reason: string, why = reason): void {
    this.link.refuse(reason, why);
  }

  unexpected(type: number, payload: Buffer): void {
    if (type !== Frame.REFUSE) throw new LinkProtocolError(`frame type ${type} in the handshake`);
    this.link.close(refusalWords(payload));
  }

  #end(how: () => void): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#deadline);
    how();
  }
}

function rangeOf({ least, most = PROTOCOL_VERSION }: { readonly least: number; readonly most?: number }): string {
  return least === most ? String(least) : `${least} to ${most}`;
}
