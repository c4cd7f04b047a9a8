/** Each hostile input does to pullproxy what is expected, and what the table beside this file says. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { closeApps } from '../../support/harness/scripted-app.ts';
import { closeClients } from '../../support/raw-client.ts';
import { Proxies } from './proxies.ts';
import { RecordingApp } from './recording-app.ts';
import { escaped, playAll, readTable, type Section } from './table.ts';

jest.setTimeout(120_000);

const proxies = new Proxies();
let sections: readonly Section[];

beforeAll(async () => {
  const app = await RecordingApp.listen();
  await proxies.start(app.port, ['pullproxy']);
  sections = await playAll(proxies.all, app);
});

afterAll(async () => {
  closeClients();
  closeApps();
  await proxies.stop();
});

test('every input ends as expected, and harms nobody else', () => {
  const rows = sections.flatMap((section) => section.rows);
  expect(rows.map(({ what, outcomes }) => [what, outcomes.get('pullproxy')])).toEqual(rows.map(({ what, expected }) => [what, expected]));
});

test('the table says the same', () => {
  const written = readTable(readFileSync(new URL('./README.md', import.meta.url), 'utf8'));
  for (const { title, rows } of sections) {
    for (const { what, expected } of rows) expect([what, written.get(`${title}: ${escaped(what)}`)]).toEqual([what, escaped(expected)]);
  }
});
