import type { InstanceReport } from './instance-report.ts';

/** The linker's calls to the node. */
export interface NodeLinkEvents {
  /** `idle` has grown: by a grant, or because a stream is over. */
  idle(): void;
  moveFailed(count: number, address: string): void;
  /** The instance reports its state. */
  report(report: InstanceReport): void;
  /** The instance wants to leave; not again before `answerRetire`. */
  retire(): void;
  /** One more, newer instance of the route is wanted. */
  startAnother(): void;
  /** The linker wants `count` slots back that are not idle here: those lent on through relays must be asked for. */
  recalled(count: number): void;
  /** No more than `count` slots can be together here, whatever was asked for by `gather`. */
  gathersAtMost(count: number): void;
  down(reason: string): void;
}
