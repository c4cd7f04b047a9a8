/** How many slots requests take, as a route's `costBy` says it: `POST /export*=5`, `* /reports/*=3`. Of several rules that match the first counts. */
import { ruleList } from './kinds.ts';
import { parseRequestRule, type RequestRule } from './sleep-rules.ts';

/** Rules of one route. */
const RULES_MAX = 32;
/** No instance has more slots. */
export const COST_MAX = 1_000_000;

const RULE_AND_COST = /^(.+)=(\d{1,7})$/;

export interface CostRule extends RequestRule {
  readonly cost: number;
}

/** Null: it is no rule. */
export function parseCostRule(text: string): CostRule | null {
  const [, said = '', number] = RULE_AND_COST.exec(text) ?? [];
  const [rule, cost] = [parseRequestRule(said), Number(number)];
  return rule === null || cost < 1 || cost > COST_MAX ? null : { ...rule, cost };
}

export const costRules = ruleList(
  `METHOD PATH=N, with * for any text and N from 1 to ${COST_MAX}, at most ${RULES_MAX} in a list such as ["POST /export*=5", "* /reports/*=3"]`,
  RULES_MAX,
  (text) => (parseCostRule(text) === null ? null : text),
);
