/** Links with both ends real, or one end real and the other spoken by hand; everything that the real ends report is recorded. */

import { AgentAtNode, type AgentAtNodeEvents, AgentLink, type AgentLinkEvents } from '../../../src/link/agent-links.ts';
import { Frame, type ResetCodeValue } from '../../../src/link/frames.ts';
import { acceptLink, dialLink, type Hello } from '../../../src/link/handshake.ts';
import type { LinkTiming } from '../../../src/link/link.ts';
import { type DoneHow, LinkerLink, type LinkerLinkEvents } from '../../../src/link/linker-link.ts';
import { NodeLink } from '../../../src/link/node-link.ts';
import type { NodeLinkEvents } from '../../../src/link/node-link-events.ts';
import { newNonce, prove } from '../../../src/link/proof.ts';
import type { Stream, StreamHandler } from '../../../src/link/stream.ts';
import type { Ownership } from '../../../src/memory/reused-reads.ts';
import { EMPTY, RawPeer, type SocketPair, slowSocketPair, socketPair, until } from './link-wire.ts';

export const SECRET = 'the secret of this route';
export const HELLO: Hello = { route: 'app.example.com', instance: 'i1', seq: 1_700_000_000_000, concurrency: 8 };

export interface SeenReset {
  readonly code: ResetCodeValue;
  readonly reached: boolean;
  readonly reused: boolean;
}

/** A stream's handler that remembers; it passes on nothing by itself. */
export class Recorder implements StreamHandler {
  readonly where = 'visit';
  readonly chunks: Buffer[] = [];
  readonly resets: SeenReset[] = [];
  ends = 0;
  drains = 0;

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  fail(): void {}

  onData(chunk: Buffer): Ownership {
    this.chunks.push(chunk);
    return 'kept';
  }

  onEnd(): void {
    this.ends++;
  }

  onDrain(): void {
    this.drains++;
  }

  onReset(code: ResetCodeValue, reached: boolean, reused: boolean): void {
    this.resets.push({ code, reached, reused });
  }
}

/** The node's end with its events recorded; `over` replaces some. */
export class NodeEnd {
  readonly link: NodeLink;
  readonly said: string[] = [];
  readonly downs: string[] = [];

  constructor(make: (events: NodeLinkEvents) => NodeLink, over: Partial<NodeLinkEvents> = {}) {
    this.link = make({
      idle: () => {},
      moveFailed: (count, address) => this.said.push(`move of ${count} to ${address} failed`),
      report: (report) => this.said.push(`report ${JSON.stringify(report)}`),
      retire: () => this.said.push('retire'),
      startAnother: () => this.said.push('start another'),
      recalled: (count) => this.said.push(`recalled ${count}`),
      gathersAtMost: (count) => this.said.push(`gathers at most ${count}`),
      down: (reason) => this.downs.push(reason),
      ...over,
    });
  }
}

export interface OpenedStream {
  readonly stream: Stream;
  readonly flags: number;
  readonly handler: Recorder;
}

/** The linker's end with its events recorded; `over` replaces some. */
export class LinkerEnd {
  readonly link: LinkerLink;
  readonly said: string[] = [];
  readonly downs: string[] = [];
  readonly opened: OpenedStream[] = [];
  readonly done: { readonly stream: Stream; readonly how: DoneHow }[] = [];
  returned = 0;

  constructor(make: (events: LinkerLinkEvents) => LinkerLink, over: Partial<LinkerLinkEvents> = {}) {
    this.link = make({
      opened: (stream, flags) => {
        const handler = new Recorder();
        stream.handler = handler;
        this.opened.push({ stream, flags, handler });
      },
      done: (stream, how) => this.done.push({ stream, how }),
      wantedBack: () => this.said.push('wanted back'),
      parked: () => this.said.push('parked'),
      unparked: () => this.said.push('unparked'),
      returned: (count) => {
        this.returned += count;
      },
      moveWanted: (count, address) => this.said.push(`move ${count} to ${address}`),
      newest: (yes) => this.said.push(`newest ${yes}`),
      retireAnswer: (yes) => this.said.push(`retire answer ${yes}`),
      goAway: () => this.said.push('go away'),
      down: (reason) => this.downs.push(reason),
      ...over,
    });
  }
}

export interface LinkOptions {
  readonly hello?: Hello;
  readonly timing?: LinkTiming;
  readonly node?: Partial<NodeLinkEvents>;
  readonly linker?: Partial<LinkerLinkEvents>;
  readonly lastStreamId?: number;
  /** A network that carries no more than this from the linker to the node. */
  readonly bytesPerMs?: number;
}

/** A link with both ends real. */
export async function linkPair(options: LinkOptions = {}): Promise<{ node: NodeEnd; linker: LinkerEnd; sockets: SocketPair }> {
  const sockets = options.bytesPerMs === undefined ? await socketPair() : await slowSocketPair(options.bytesPerMs);
  const node = acceptNode(sockets, options);
  const linker = dialLinker(sockets, options);
  return { node: await node, linker: await linker, sockets };
}

/** A real node's end; the test speaks for the linker. */
export async function nodeAndRawLinker(options: LinkOptions = {}): Promise<{ node: NodeEnd; peer: RawPeer }> {
  const sockets = await socketPair();
  const node = acceptNode(sockets, options);
  const peer = new RawPeer(sockets.dialled);
  await shakeAsLinker(peer, options.hello ?? HELLO);
  await peer.take(Frame.WELCOME);
  return { node: await node, peer };
}

/** A real linker's end; the test speaks for the node. */
export async function linkerAndRawNode(options: LinkOptions = {}): Promise<{ linker: LinkerEnd; peer: RawPeer }> {
  const sockets = await socketPair();
  const linker = dialLinker(sockets, options);
  const peer = new RawPeer(sockets.accepted);
  await shakeAsNode(peer);
  return { linker: await linker, peer };
}

export const AGENT_HELLO: Hello = { ...HELLO, instance: 'agent1', concurrency: 1, agent: true };

/** A node's end of an agent's link; the test speaks for the agent. */
export async function agentsNodeAndRawAgent(events: AgentAtNodeEvents): Promise<RawPeer> {
  const sockets = await socketPair();
  const begun = new Promise<void>((resolve, reject) =>
    acceptLink(sockets.accepted, {
      node: 'n1',
      secrets: () => [SECRET],
      ready(link) {
        new AgentAtNode(link, events);
        resolve();
      },
      failed: (reason) => reject(new Error(reason)),
    }),
  );
  const peer = new RawPeer(sockets.dialled);
  await shakeAsLinker(peer, AGENT_HELLO);
  await peer.take(Frame.WELCOME);
  await begun;
  return peer;
}

/** An agent's end of its link; the test speaks for the node. */
export async function agentAndRawNode(events: AgentLinkEvents): Promise<RawPeer> {
  const sockets = await socketPair();
  const begun = new Promise<void>((resolve, reject) =>
    dialLink(sockets.dialled, {
      hello: AGENT_HELLO,
      secret: SECRET,
      ready(link) {
        new AgentLink(link, events);
        resolve();
      },
      failed: (reason) => reject(new Error(reason)),
    }),
  );
  const peer = new RawPeer(sockets.accepted);
  await shakeAsNode(peer, { can: ['agent'] });
  await begun;
  return peer;
}

/** Resolves when everything that both ends had to say to each other has been heard, answers and answers to those included. */
export async function quiet(node: NodeEnd, linker: LinkerEnd): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const [atLinker, atNode] = [linker.said.length, node.said.length];
    node.link.newest(true);
    await until(() => linker.said.slice(atLinker).includes('newest true'));
    linker.link.report({ home: true, state: 'ready', active: round });
    await until(() => node.said.length > atNode);
  }
}

/** A link with both ends real, on which `count` slots are lent. */
export async function lent(count: number): Promise<{ node: NodeEnd; linker: LinkerEnd }> {
  const { node, linker } = await linkPair();
  linker.link.grant(count);
  await until(() => node.link.idle === count);
  return { node, linker };
}

/** The `count`th stream that was opened at this end, waited for. */
export async function opened(linker: LinkerEnd, count = 1): Promise<OpenedStream> {
  await until(() => linker.opened.length === count);
  return linker.opened[count - 1] as OpenedStream;
}

/** HELLO and a right PROOF, by hand; the node's WELCOME is left to be taken. */
export async function shakeAsLinker(peer: RawPeer, said: object = HELLO, secret = SECRET): Promise<void> {
  const hello = peer.sendJson(Frame.HELLO, { v: 2, ...said, nonce: newNonce() });
  const challenge = (await peer.take(Frame.CHALLENGE)).payload;
  peer.sendJson(Frame.PROOF, { proof: prove(secret, 'linker', { hello, challenge, channel: EMPTY }) });
}

/** CHALLENGE, and WELCOME with a right proof, by hand. */
export async function shakeAsNode(peer: RawPeer, { welcome = true, can = [] as readonly string[] } = {}): Promise<void> {
  const hello = (await peer.take(Frame.HELLO)).payload;
  const challenge = peer.sendJson(Frame.CHALLENGE, { v: 2, can, node: 'n1', nonce: newNonce() });
  await peer.take(Frame.PROOF);
  if (welcome) peer.sendJson(Frame.WELCOME, { proof: prove(SECRET, 'node', { hello, challenge, channel: EMPTY }) });
}

function acceptNode({ accepted }: SocketPair, options: LinkOptions): Promise<NodeEnd> {
  return new Promise((resolve, reject) =>
    acceptLink(accepted, {
      node: 'n1',
      secrets: () => [SECRET],
      timing: options.timing,
      ready: (link, hello) => resolve(new NodeEnd((events) => new NodeLink(link, hello, events, options.lastStreamId), options.node)),
      failed: (reason) => reject(new Error(reason)),
    }),
  );
}

function dialLinker({ dialled }: SocketPair, options: LinkOptions): Promise<LinkerEnd> {
  return new Promise((resolve, reject) =>
    dialLink(dialled, {
      hello: options.hello ?? HELLO,
      secret: SECRET,
      timing: options.timing,
      ready: (link) => resolve(new LinkerEnd((events) => new LinkerLink(link, events), options.linker)),
      failed: (reason) => reject(new Error(reason)),
    }),
  );
}
