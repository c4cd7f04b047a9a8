/**
 * What an operator has declared: the settings of routes. Unlike everything else in the directory nobody can find it out anew, so it must not
 * be lost with the directory: each declaration has a version, every node keeps all of them, and a node gives them back to a directory that
 * has lost them. The newest version wins. A deletion is a declaration, too: nobody undoes it by accident.
 */
import type { RouteRecord } from '../config/route-settings.ts';

/** Another kind needs a key of its own in redis/keys.ts, and nothing else. */
export const DECLARATION_KINDS = ['settings'] as const;

export type DeclarationKind = (typeof DECLARATION_KINDS)[number];

export interface Declaration {
  readonly kind: DeclarationKind;
  readonly name: string;
  /** JSON; null: it was deleted. */
  readonly value: string | null;
  /** Larger is newer. Versions grow with the directory's clock, and never go back. */
  readonly version: number;
}

/** All that is declared, as somebody knows it. */
export interface Declarations {
  /** The cluster that they belong to; null while it has no name. */
  readonly cluster: string | null;
  /** The largest version that was ever given. */
  readonly highest: number;
  readonly all: readonly Declaration[];
}

/** What the directory has. */
export interface StoredDeclarations extends Declarations {
  /** It knows that these were declared, and has lost what. */
  readonly lost: readonly Omit<Declaration, 'value'>[];
}

/** Where a process keeps them while it does not run. Must not throw. */
export interface DeclarationsFile {
  /** What was saved last; null: nothing, or nothing that can be read. */
  read(): Declarations | null;
  /** Writes it soon; the last one counts. */
  save(declarations: Declarations): void;
  /** Keeps declarations of another cluster, which this node belongs to no longer. Returns where. */
  putAside(declarations: Declarations): string;
}

/** What a node brings with it. */
export interface DeclarationsKept {
  readonly file?: DeclarationsFile | undefined;
  /** Settings of routes that it declares wherever nothing was ever declared by that name, or what was is lost. */
  readonly asserted?: ReadonlyMap<string, RouteRecord>;
}

/** Deletions that the directory remembers. A node that was away for so many more may bring something back. */
export const deletionsMax = 10_000;
/** Declarations in one call of the directory. */
export const restoredPerCallMax = 500;
/** A directory without a name gets one after this time, unless a node with a memory came before. */
export const nameAfterMs = 5_000;
/** Versions beyond this were not given by anybody. */
export const versionMax = 1e15;
/** Of all kinds; further ones are not kept by nodes. */
export const declarationsMax = 200_000;
