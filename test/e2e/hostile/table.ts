/** All hostile input, through each of the proxies, as a table. */
import { ANSWER_CASES } from './answers.ts';
import { GREEDY_CASES } from './greedy.ts';
import { playAnswer, playRequest } from './play.ts';
import type { TestedProxy } from './proxies.ts';
import type { RecordingApp } from './recording-app.ts';
import { REQUEST_CASES } from './requests.ts';
import { UNEVEN_CASES } from './uneven.ts';

export interface Row {
  readonly what: string;
  readonly expected: string;
  /** By the proxies' names. */
  readonly outcomes: ReadonlyMap<string, string>;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

interface Case {
  readonly what: string;
  readonly expected: string;
  readonly play: (port: number) => Promise<string>;
}

export async function playAll(
  proxies: readonly TestedProxy[],
  app: RecordingApp,
  say: (line: string) => void = () => {},
): Promise<Section[]> {
  const requests = REQUEST_CASES.map(({ bytes, ...rest }) => ({ ...rest, play: (port: number) => playRequest(port, app, bytes) }));
  const answers = ANSWER_CASES.map((one) => ({ ...one, play: (port: number) => playAnswer(port, app, one) }));
  const greedy = [...GREEDY_CASES, ...UNEVEN_CASES].map(({ play, ...rest }) => ({ ...rest, play: (port: number) => play(port, app) }));
  return [
    { title: 'Requests', rows: await rowsOf(requests, proxies, say) },
    { title: 'Answers of an application', rows: await rowsOf(answers, proxies, say) },
    { title: 'A client', rows: await rowsOf(greedy, proxies, say) },
  ];
}

async function rowsOf(cases: readonly Case[], proxies: readonly TestedProxy[], say: (line: string) => void): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { what, expected, play } of cases) {
    const outcomes = new Map<string, string>();
    for (const { name, port } of proxies) outcomes.set(name, await play(port));
    say(`${what}: ${[...outcomes].map((pair) => pair.join(' ')).join(' | ')}`);
    rows.push({ what, expected, outcomes });
  }
  return rows;
}

const INTRODUCTION = `# Hostile input

What happens to requests and answers that could be understood in two ways, and to clients that are slow or greedy: written by
\`npm run hostile\`, which plays each through nginx, HAProxy and pullproxy in front of the same application. A test holds pullproxy's column.
All three have a second of patience with clients and let one address connect 20 times; nginx and HAProxy wait five seconds for the application. Otherwise they are as they come.

- \`400\`: refused with this status and closed; the application saw nothing. \`closed\`: without a word.
- \`→ GET /\`: passed on, and this is what the application saw. What follows on the connection was served after it, or else refused with the
  status that stands behind, or the connection was closed.
- A head that is too large is 431, whatever in it is: its target, one header or their number (RFC 6585 section 5). 413 and 414 are not said: a body is passed on
  as it is read and has no limit of its own.
- After each request and answer another client asks twice: where it got something else than its own answer, the cell says so.
`;

export function markdown(sections: readonly Section[], versions: Readonly<Record<string, string>>): string {
  const parts = sections.map(({ title, rows }) => {
    const names = [...(rows[0] as Row).outcomes.keys()];
    const head = [title, ...names.map((name) => versions[name] ?? name)];
    const lines = rows.map(({ what, outcomes }) => [what, ...outcomes.values()]);
    return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.map(escaped).join(' | ')} |`).join('\n');
  });
  return `${INTRODUCTION}\n${parts.join('\n\n')}\n`;
}

/** What stands in a table that was written: pullproxy's outcomes by input, section by section. */
export function readTable(text: string): Map<string, string> {
  const cells = text.split('\n').flatMap((line) => (line.startsWith('| ') ? [line.slice(2, -2).split(' | ')] : []));
  return new Map(cells.map((line, i) => [`${sectionBefore(cells, i)}: ${line[0] ?? ''}`, line.at(-1) ?? '']));
}

function sectionBefore(cells: readonly (readonly string[])[], at: number): string {
  for (let i = at; i >= 0; i--) if (cells[i + 1]?.[0] === '---') return cells[i]?.[0] ?? '';
  return '';
}

export function escaped(cell: string): string {
  return cell.replaceAll('|', '\\|').replace(/[^\x20-\x7e→…’]/g, (letter) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
