/** The names in an expression of Prometheus, by Prometheus' own grammar, and the samples of a real /metrics that it would find. */
import type { SyntaxNodeRef } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly op: string; readonly value: string }[];
}

export interface Named {
  readonly selectors: readonly Selector[];
  /** Labels that are grouped by. */
  readonly grouping: readonly string[];
}

/** @throws Error where the expression is no PromQL */
export function readExpression(expression: string): Named {
  const selectors: { metric: string; matchers: Selector['matchers'][number][] }[] = [];
  const grouping: string[] = [];
  const textOf = ({ from, to }: { from: number; to: number }): string => expression.slice(from, to);
  parser.parse(expression).iterate({
    enter(node: SyntaxNodeRef) {
      if (node.type.isError) throw new Error(`no PromQL at ${node.from}: ${expression}`);
      if (node.name === 'VectorSelector') {
        const name = node.node.getChild('Identifier');
        selectors.push({ metric: name === null ? '' : textOf(name), matchers: [] });
      } else if (node.name === 'UnquotedLabelMatcher') {
        const [label, op, value] = ['LabelName', 'MatchOp', 'StringLiteral'].map((part) => {
          const child = node.node.getChild(part);
          return child === null ? '' : textOf(child);
        }) as [string, string, string];
        selectors.at(-1)?.matchers.push({ label, op, value: value.slice(1, -1) });
      } else if (node.name === 'GroupingLabels') {
        grouping.push(...node.node.getChildren('LabelName').map(textOf));
      }
    },
  });
  return { selectors, grouping };
}

export function readSamples(metrics: string): Sample[] {
  return metrics.split('\n').flatMap((line) => {
    const [, name, labels = ''] = /^([a-zA-Z_:]\w*)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    if (name === undefined) return [];
    return [{ name, labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, value]) => [label, value])) }];
  });
}

/** As Prometheus would: a label that a sample has not is empty; a regular expression is anchored. */
export function selects({ metric, matchers }: Selector, sample: Sample): boolean {
  if (sample.name !== metric) return false;
  return matchers.every(({ label, op, value }) => {
    const own = sample.labels[label] ?? '';
    const equal = op.endsWith('~') ? new RegExp(`^(?:${value})$`).test(own) : own === value;
    return op.startsWith('!') ? !equal : equal;
  });
}
