/** Places of keys: how many keys of a route are awake at once in the whole cluster is limited, because strangers may invent keys. */

/** A place is not taken for longer: a start that takes more time is kept by the nodes that hold its clients. */
export const KEY_PLACE_MAX_MS = 600_000;

export interface KeyPlace {
  readonly key: string;
  readonly forMs: number;
  /** Its place may last for longer already: it does not become shorter. */
  readonly atLeast: boolean;
}

export interface KeyPlaces {
  /** False: `most` other keys of the route have a place. Rejects when the directory does not answer. */
  take(route: string, key: string, most: number, forMs: number): Promise<boolean>;
  /** These keys are awake, however many others are. */
  keep(route: string, places: readonly KeyPlace[]): Promise<void>;
}
