/**
 * Declarations of an operator: the settings of routes, and which routes are paused. Nodes can write everything else in the directory again, but not these, so they must not
 * be lost with the directory. Each declaration has a version, every node keeps all of them, and gives them back to a directory that
 * has lost them. The newest version wins. A deletion is a declaration too, so it is not undone by accident.
 */
import type { RouteRecord } from '../config/route-settings.ts';

/** Another kind needs a key of its own in redis/keys.ts, and nothing else. */
export const DECLARATION_KINDS = ['settings', 'pauses'] as const;

export type DeclarationKind = (typeof DECLARATION_KINDS)[number];

export interface Declaration {
  readonly kind: DeclarationKind;
  readonly name: string;
  /** JSON; null: it was deleted. */
  readonly value: string | null;
  /** Larger is newer. Versions grow with the directory's clock, and never go back. */
  readonly version: number;
}

/** All declarations, as one process knows them. */
export interface Declarations {
  /** The cluster that they belong to; null while it has no name. */
  readonly cluster: string | null;
  /** The largest version that was ever given. */
  readonly highest: number;
  readonly all: readonly Declaration[];
}

/** The declarations in the directory. */
export interface StoredDeclarations extends Declarations {
  /** The directory's time, ms since the epoch. */
  readonly now: number;
  /** The directory knows that these were declared, and has lost their values. */
  readonly lost: readonly Omit<Declaration, 'value'>[];
}

/** Where a process keeps them while it does not run. Must not throw. */
export interface DeclarationsFile {
  /** The last saved declarations; null: nothing, or nothing readable. */
  read(): Declarations | null;
  /** Writes it soon; the last one counts. */
  save(declarations: Declarations): void;
  /** Moves the declarations of another cluster, to which this node does not belong any more, aside. Returns where. */
  putAside(declarations: Declarations): string;
}

/** The declarations that a node brings with it. */
export interface DeclarationsKept {
  readonly file?: DeclarationsFile | undefined;
  /** Settings of routes that it declares if nothing was ever declared by that name, or if that declaration is lost. */
  readonly asserted?: ReadonlyMap<string, RouteRecord>;
}

/** Deletions that the directory remembers. A node that was away during more deletions may bring something back. */
export const DELETIONS_MAX = 10_000;
/** Declarations in one call of the directory. */
export const RESTORED_PER_CALL_MAX = 500;
/** A directory without a name gets one after this time, unless a node with a memory came before. */
export const NAME_AFTER_MS = 5_000;
/** No directory gives larger versions. */
export const VERSION_MAX = 1e15;
/** Declarations of all kinds that nodes keep; further ones are not kept. */
export const DECLARATIONS_MAX = 200_000;
