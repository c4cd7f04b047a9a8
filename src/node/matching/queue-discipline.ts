/**
 * In which order held clients get slots. The queue itself keeps everybody by age: for deadlines, and for those who come back to their place. A
 * discipline that wants another order keeps its own beside it; an entry enters and leaves once each time that it is held, whatever the reason.
 */
export interface QueueDiscipline<T> {
  entered(entry: T): void;
  left(entry: T): void;
  /** It leaves because it has a slot; `left` follows. */
  served(entry: T): void;
  /** The entry that gets the next slot, which stays until it leaves. `oldest` has waited longest; null: nobody is held. */
  next(oldest: T | null): T | null;
  /** How many of the others here go before an entry. Null: those who are older. */
  ahead(entry: T): number | null;
}

/** First come, first served: the order of the queue itself. */
export const FIFO = {
  entered(): void {},
  left(): void {},
  served(): void {},
  next: <T>(oldest: T | null): T | null => oldest,
  ahead: (): null => null,
} as const satisfies QueueDiscipline<unknown>;
