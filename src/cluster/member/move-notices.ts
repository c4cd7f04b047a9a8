/** A search has matched idle slots at one node with clients at another: both nodes are told, those by this node that the directory has not told. */
import { unawaited } from '../../boundary.ts';
import type { ClusterListener, Peer } from '../cluster.ts';
import type { Bell, Directory, Move } from '../directory.ts';

/** `count` slots promised to `asker` will not come from `from`, which has `idle` left. */
export interface Short {
  readonly from: string;
  readonly asker: string;
  readonly count: number;
  readonly idle: number;
  /** If no other node has a slot, the asker searches again at once. Not if there are slots that can't be moved: it would find them again. */
  readonly look: boolean;
}

export class MoveNotices {
  readonly #self: Peer;
  readonly #directory: Directory;
  readonly #bell: Bell;
  readonly #listener: ClusterListener;
  readonly #look: (route: string) => void;

  /** `look` searches again for this node's own clients. */
  constructor(self: Peer, directory: Directory, bell: Bell, listener: ClusterListener, look: (route: string) => void) {
    this.#self = self;
    this.#directory = directory;
    this.#bell = bell;
    this.#listener = listener;
    this.#look = look;
  }

  /** Tells the node with the slots what to move, and the node with the clients what comes. */
  send(route: string, moves: readonly Move[]): void {
    for (const move of moves) {
      const { from, to, count, told } = move;
      if (from === this.#self.id) this.#listener.onWant(route, count, to);
      else if (told === undefined) unawaited('bell', this.#want(route, move));
      else if (told === 'unheard') unawaited('bell', this.#unheard(route, move));
      if (to.id === this.#self.id) this.#listener.onComing(route, count, from);
      else if (told === undefined) unawaited('bell', this.#bell.ring(to.id, { t: 'coming', route, count, from }));
    }
  }

  /** If this message is lost, the promises lapse. */
  async short(route: string, { from, asker, count, idle, look }: Short): Promise<void> {
    const reply = await this.#directory.short(route, from, asker, count, idle, this.#self.id).catch(() => null);
    if (reply === null) return;
    this.send(route, reply.moves);
    if (reply.waiting === 0 || !look) return;
    if (asker === this.#self.id) this.#look(route);
    else await this.#bell.ring(asker, { t: 'look', route });
  }

  async #want(route: string, move: Move): Promise<void> {
    const { from, to, count } = move;
    if (!(await this.#bell.ring(from, { t: 'want', route, count, asker: to }))) await this.#unheard(route, move);
  }

  /** Nothing listens as that node: it was killed. Its slots are gone before its last beat is old. */
  #unheard(route: string, { from, to, count }: Move): Promise<void> {
    return this.short(route, { from, asker: to.id, count, idle: 0, look: true });
  }
}
