/** The dashboard for Grafana and the alerts for Prometheus name what a running cluster really has. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { eventually } from '../../support/eventually.ts';
import { readExpression, readSamples, type Sample, selects } from '../../support/promql.ts';
import { startWatchedCluster, type WatchedCluster } from '../../support/watched-cluster.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string; readonly datasource: { readonly uid: string } }[];
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: string | { query: string } }[];
  };
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: { readonly summary: string; readonly description: string };
}

const folder = new URL('../../../deploy/', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, folder), 'utf8');
const dashboard = JSON.parse(read('grafana/pullproxy.json')) as Dashboard;
const { groups } = parse(read('prometheus/pullproxy.rules.yaml')) as { groups: readonly { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const panels = dashboard.panels.filter(({ type }) => type !== 'row');
const variables = dashboard.templating.list.map(({ name }) => name);

/** Prometheus adds these labels to all that it scrapes, and `up` of its own. */
const TARGET = { job: 'pullproxy', instance: 'n1:9090' };
const UP: Sample = { name: 'up', labels: TARGET };

/** All of it; with no label that Prometheus adds. */
let samples: readonly Sample[] = [];
let cluster: WatchedCluster;

beforeAll(async () => {
  cluster = await startWatchedCluster();
  const scrape = async (): Promise<void> => {
    const texts = await Promise.all(cluster.admins.map(async (at) => (await fetch(`http://${at}/metrics`)).text()));
    samples = texts.flatMap(readSamples);
  };
  const missing = (label: string, values: readonly string[]): string[] =>
    values.filter((value) => !samples.some(({ labels }) => labels[label] === value));
  await eventually(
    'starts have ended in each way',
    async () => {
      await scrape();
      const left = [...missing('result', ['failed']), ...missing('outcome', ['linked', 'command_failed', 'not_linked', 'turned_away'])];
      if (left.length > 0) throw new Error(`not yet: ${left}`);
      return true;
    },
    30_000,
  );
});

afterAll(async () => {
  await cluster?.stop();
});

/** What is wrong with an expression, in words. */
function troublesOf(expression: string): string[] {
  const { selectors, grouping } = readExpression(expression);
  const scraped = [...samples.map(({ name, labels }) => ({ name, labels: { ...labels, ...TARGET } })), UP];
  const missing = selectors.flatMap((selector) => {
    const found = scraped.filter((sample) => selects(selector, sample));
    if (found.length === 0) return [`nothing is selected by ${JSON.stringify(selector)}`];
    const unknown = selector.matchers.filter(({ label }) => found.every(({ labels }) => !(label in labels)));
    return unknown.map(({ label }) => `${selector.metric} has no label ${label}`);
  });
  // What is grouped by is a label of everything that is named.
  const ungrouped = grouping.flatMap((label) =>
    selectors
      .filter(({ metric }) => !scraped.some(({ name, labels }) => name === metric && label in labels))
      .map(({ metric }) => `${metric} has no label ${label} to group by`),
  );
  return [...missing, ...ungrouped];
}

/** As Grafana does. */
function filledIn(expression: string): string {
  const filled = expression.replaceAll('$__rate_interval', '5m').replaceAll('$__range', '1h');
  return filled.replace(/\$\{?(\w+)\}?/g, (_, name: string) => {
    if (!variables.includes(name)) throw new Error(`no variable ${name}`);
    return '.*';
  });
}

describe('the dashboard', () => {
  test.each(panels.map((panel) => [panel.title, panel] as const))(
    '%s: every metric and label is there',
    (_title, { targets = [], datasource }) => {
      expect(targets.length).toBeGreaterThan(0);
      for (const target of targets) {
        expect(troublesOf(filledIn(target.expr))).toEqual([]);
        const { selectors, grouping } = readExpression(filledIn(target.expr));
        const labels = new Set([
          ...grouping,
          ...samples.filter(({ name }) => name === selectors[0]?.metric).flatMap((sample) => Object.keys(sample.labels)),
          'instance',
        ]);
        for (const [, label] of target.legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(labels).toContain(label);
        for (const source of [target.datasource, datasource]) expect(source?.uid).toBe(`$${'{datasource}'}`);
      }
    },
  );

  test('asks for variables by metrics and labels that are there', () => {
    const queries = dashboard.templating.list.flatMap(({ query }) => (typeof query === 'string' ? [] : [query.query]));
    expect(queries).toHaveLength(3);
    for (const query of queries) {
      const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(query) ?? [];
      expect(troublesOf(filledIn(selector))).toEqual([]);
      expect(troublesOf(`sum by (${label}) (${filledIn(selector)})`)).toEqual([]);
    }
  });

  test('lays its panels out beside each other', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const taken = new Set<string>();
    for (const { title, gridPos } of dashboard.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, taken.has(`${x} ${y}`)]).toEqual([title, false]);
          taken.add(`${x} ${y}`);
        }
      }
    }
  });

  test('shows every metric of pullproxy’s own', () => {
    const shown = panels.flatMap(({ targets = [] }) =>
      targets.flatMap(({ expr }) => readExpression(filledIn(expr)).selectors.map(({ metric }) => metric)),
    );
    const base = (name: string): string => name.replace(/_(bucket|sum|count)$/, '');
    const own = new Set(samples.map(({ name }) => base(name)).filter((name) => name.startsWith('pullproxy_')));
    expect([...own].filter((name) => !shown.map(base).includes(name))).toEqual([]);
  });
});

describe('the alerts', () => {
  test.each(rules.map((rule) => [rule.alert, rule] as const))(
    '%s: every metric and label is there, and it says what to do',
    (_name, rule) => {
      expect(troublesOf(rule.expr)).toEqual([]);
      expect(rule.for).toMatch(/^\d+m$/);
      expect(['critical', 'warning']).toContain(rule.labels.severity);
      const { selectors, grouping } = readExpression(rule.expr);
      // Without an aggregation all labels are left.
      const left = grouping.length > 0 ? grouping : selectors.flatMap(({ metric }) => (metric === 'up' ? Object.keys(TARGET) : []));
      for (const text of [rule.annotations.summary, rule.annotations.description]) {
        expect(text.length).toBeGreaterThan(10);
        for (const [, label] of text.matchAll(/\$labels\.(\w+)/g)) expect(left).toContain(label);
      }
    },
  );

  test('have names of their own', () => {
    expect(rules.length).toBeGreaterThan(8);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });
});

test('a metric, a label or a value that is not there would be found', () => {
  expect(troublesOf('sum by (route) (pullproxy_held)')).toEqual([]);
  expect(troublesOf('pullproxy_hold')).toHaveLength(1);
  expect(troublesOf('pullproxy_held{host=~".*"}')).toEqual(['pullproxy_held has no label host']);
  expect(troublesOf('rate(pullproxy_handoffs_total{result="lost"}[5m])')).toHaveLength(1);
  expect(troublesOf('sum by (node) (pullproxy_held)')).toEqual(['pullproxy_held has no label node to group by']);
  expect(() => readExpression('sum by (route (pullproxy_held)')).toThrow('no PromQL');
});

test('Prometheus is told of the rules', () => {
  const config = parse(read('prometheus/prometheus.yaml')) as { rule_files: string[]; scrape_configs: { job_name: string }[] };
  expect(config.rule_files).toEqual(['pullproxy.rules.yaml']);
  for (const { job_name: job } of config.scrape_configs) expect(job).toMatch(/pullproxy/);
});
