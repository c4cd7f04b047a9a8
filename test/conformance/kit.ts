/** Plays the rules through, one after the other, each within its time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { AGENT_CHECKS } from './agent-checks.ts';
import { LINKER_CHECKS } from './linker-checks.ts';
import { type NodeSettings, NodeUnderTest } from './linker-side.ts';
import { NODE_CHECKS } from './node-checks.ts';
import { type LinkerSettings, LinkerUnderTest } from './node-side.ts';
import { Broken, type RuleId } from './rules.ts';
import type { Wire } from './wire.ts';

/** No rule takes longer, whatever the peer does. */
const CHECK_MS_MAX = 60_000;

export interface Verdict {
  readonly rule: RuleId;
  /** Null: it holds. */
  readonly broken: Broken | null;
  /** What the command wrote last. */
  readonly output: string;
}

type Tell = (verdict: Verdict) => void;

/** Each rule has a linker process of its own; `lanes` run at a time, for which the port must be 0. Returns whether all hold. */
export function testLinker(settings: LinkerSettings, only: readonly RuleId[], tell: Tell, lanes = 1): Promise<boolean> {
  return testProcess(settings, chosen(LINKER_CHECKS, only), tell, lanes);
}

/** The same for agents. */
export function testAgent(settings: LinkerSettings, only: readonly RuleId[], tell: Tell, lanes = 1): Promise<boolean> {
  return testProcess(settings, chosen(AGENT_CHECKS, only), tell, lanes, true);
}

type ProcessCheck = (linker: LinkerUnderTest) => Promise<void>;

async function testProcess(
  settings: LinkerSettings,
  waiting: (readonly [RuleId, ProcessCheck])[],
  tell: Tell,
  lanes: number,
  isAgent = false,
): Promise<boolean> {
  let good = true;
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [rule, check] = next;
      const linker = new LinkerUnderTest(settings, isAgent);
      await linker.start();
      const broken = (await verdictOf(rule, check(linker))) ?? seenBy(linker.links);
      const { output } = linker;
      linker.stop();
      good &&= broken === null;
      tell({ rule, broken, output });
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return good;
}

/** Nobody else may use the node's route meanwhile. Returns whether all hold. */
export async function testNode(settings: NodeSettings, only: readonly RuleId[], tell: Tell): Promise<boolean> {
  let good = true;
  for (const [rule, check] of chosen(NODE_CHECKS, only)) {
    const node = new NodeUnderTest(settings);
    const broken = (await verdictOf(rule, check(node))) ?? seenBy(node.links);
    node.stop();
    good &&= broken === null;
    tell({ rule, broken, output: '' });
  }
  return good;
}

function chosen<Check>(checks: Partial<Record<RuleId, Check>>, only: readonly RuleId[]): (readonly [RuleId, Check])[] {
  const all = Object.entries(checks) as [RuleId, Check][];
  return all.filter(([rule]) => only.length === 0 || only.includes(rule));
}

const seenBy = (links: readonly Wire[]): Broken | null => links.find(({ broken }) => broken !== null)?.broken ?? null;

async function verdictOf(rule: RuleId, checked: Promise<void>): Promise<Broken | null> {
  const ended = new AbortController();
  const late = sleep(CHECK_MS_MAX, undefined, { signal: ended.signal }).then(
    () => new Broken(rule, `it is not decided after ${CHECK_MS_MAX / 1_000} s`),
    () => null,
  );
  const verdict = await Promise.race([
    checked.then(
      () => null,
      (error: unknown) => (error instanceof Broken ? error : new Broken(rule, `the kit fails: ${(error as Error).stack}`)),
    ),
    late,
  ]);
  ended.abort();
  return verdict;
}
