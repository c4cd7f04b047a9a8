/**
 * Nodes that stopped beating. Removes what dead nodes have left at their routes. Only the node that has missed one does it: it tries again once a second, until nothing is left or the
 * entries lapse by themselves.
 */
import { internalError, isBug } from '../../boundary.ts';
import { reasonOf } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Peer } from '../cluster.ts';
import type { Directory } from '../directory.ts';
import { BURIAL_TRIES_MAX, BURIALS_MAX } from '../limits.ts';

interface Dead {
  tries: number;
  /** It is among the missing ones. */
  isNoted: boolean;
}

export class Burials {
  readonly #directory: Directory;
  readonly #log: Log;
  readonly #dead = new Map<string, Dead>();
  #isRunning = false;

  constructor(directory: Directory, log: Log) {
    this.#directory = directory;
    this.#log = log;
  }

  /** The node is off the list of nodes. */
  add(node: string): void {
    if (this.#dead.size < BURIALS_MAX) this.#dead.set(node, { tries: 0, isNoted: false });
  }

  /** This node, or one with its address, is missing no longer. */
  async isBack(self: Peer): Promise<void> {
    for (const { id, address } of await this.#directory.missing()) {
      if (id !== self.id && address !== self.address) continue;
      if (await this.#directory.forgetMissing(id)) this.#log.info({ node: id }, 'a node that was missing is back');
    }
  }

  /** Call it once a second. */
  async run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      for (const [node, dead] of [...this.#dead]) await this.#try(node, dead);
    } finally {
      this.#isRunning = false;
    }
  }

  async #try(node: string, dead: Dead): Promise<void> {
    dead.tries++;
    try {
      if (await this.#bury(node, dead)) this.#dead.delete(node);
      else this.#mayGiveUp(node, dead, 'it has been heard there a moment ago');
    } catch (error) {
      if (isBug(error)) internalError('directory', error);
      this.#mayGiveUp(node, dead, reasonOf(error));
    }
  }

  #mayGiveUp(node: string, { tries }: Dead, reason: string): void {
    if (tries < BURIAL_TRIES_MAX) return;
    this.#dead.delete(node);
    this.#log.warn({ node, reason }, 'the entries of a dead node could not be removed: they lapse within minutes');
  }

  /** Returns whether nothing is left to do. */
  async #bury(node: string, dead: Dead): Promise<boolean> {
    // It was cut off, and is back: it says itself what it has.
    if (dead.tries > 1 && (await this.#directory.isListed(node))) return true;
    if (!dead.isNoted) {
      const { held, active, links } = await this.#directory.noteMissing(node);
      dead.isNoted = true;
      this.#log.warn({ node, held, active, links }, 'a node stopped beating: removing its entries');
    }
    const routes = await this.#directory.routesOf(node);
    const left = await Promise.all(routes.map((route) => this.#directory.leaveRoute(route, node, true)));
    if (left.includes(false)) return false;
    await this.#directory.removeNode(node);
    return true;
  }
}
