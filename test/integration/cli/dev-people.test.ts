/** What the person who develops an application sees: at the terminal, on the page, in the browser. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from '@jest/globals';
import { eventually } from '../../support/eventually.ts';
import { startProcess } from '../../support/processes.ts';
import { MAIN } from '../../support/program-path.ts';

const DEV = ['dev', '--listen', 'http://127.0.0.1:0', '--admin', '127.0.0.1:0'];
const CRASHES = 'console.log("\\u001b[31mhello\\u001b[0m"); console.error("Error: <b>no database</b>"); process.exit(3)';
const ELSEWHERE = 'require("http").createServer((q, r) => r.end("x")).listen(0, "127.0.0.1")';

let stop: () => Promise<unknown> = async () => {};
afterEach(() => stop());

/** `dev` on a terminal of its own. */
async function onTerminal(words: readonly string[], env: Record<string, string>) {
  const line = [process.execPath, MAIN, ...DEV, ...words].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const child = spawn('script', ['-qfec', line, '/dev/null'], {
    env: { PATH: process.env.PATH, TERM: 'xterm', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  stop = async () => {
    if (child.exitCode !== null) return;
    child.stdin.write('\u0003');
    await once(child, 'exit');
  };
  await eventually('the welcome', () => text.includes('Ctrl-C ends everything'), 30_000);
  const url = /Your application: +(\S+)/.exec(text)?.[1] ?? '';
  return { url, text: () => text };
}

test.each([
  [{ NO_COLOR: '1' }, '\r\napp 1 │ hello\r\n'],
  [{ FORCE_COLOR: '1' }, '\u001b[36mapp 1 │ \u001b[39mhello\r\n'],
])('on a terminal the application’s lines have a prefix, and ours are short (%j)', async (env, line) => {
  const { url, text } = await onTerminal(['--hold-timeout', '500ms', '--', process.execPath, '-e', CRASHES], env);
  await (await fetch(url)).text();
  await eventually('the lines', () => text().includes(line));
  await eventually('the failure', () => /warning: the application ended with code 3/.test(text()));
  expect(text()).not.toContain('{"level"');
});

test('the browser and the page are told why the application does not start, and what it wrote last', async () => {
  const dev = await startProcess([...DEV, '--hold-timeout', '2s', '--', process.execPath, '-e', CRASHES]);
  stop = dev.stop;
  const url = String((dev.ready.listen as string[])[0]);
  await eventually('the response says why', async () => {
    const response = await fetch(url);
    const said = await response.text();
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    return (
      said.includes('the application ended with code 3.\nIt wrote last:\n\n  hello\n  Error: <b>no database</b>\n') &&
      response.headers.get('x-content-type-options') === 'nosniff'
    );
  });
  const state = await (await fetch(`http://${dev.ready.admin}/api/v1/state`)).json();
  expect(JSON.stringify(state)).toContain('the application ended with code 3, Error: <b>no database</b>');
});

test('an application that listens elsewhere is said in the response, in the log, and on the page', async () => {
  const dev = await startProcess([...DEV, '--hold-timeout', '6s', '--start-timeout', '7s', '--', process.execPath, '-e', ELSEWHERE]);
  stop = dev.stop;
  const words = /the application has not accepted a connection at port \d+ \(PORT\) yet: it listens at port \d+/;
  const response = await fetch(String((dev.ready.listen as string[])[0]));
  expect(await response.text()).toMatch(words);
  expect(await dev.logged(({ msg }) => msg === 'an instance is not ready yet')).toMatchObject({ reason: expect.stringMatching(words) });
  const late = /the application has not accepted a connection at port \d+ \(PORT\) in time: it listens at port \d+/;
  await eventually('the trouble', async () => late.test(await (await fetch(`http://${dev.ready.admin}/api/v1/state`)).text()));
});
