/**
 * An HTTP application that changes its mind about how much it takes, again and again: by its answers and at its control socket. What it
 * gets beyond its own last word, once that is in force, is written to VIOLATIONS_FILE. Each change is a line in STARTS_FILE.
 *
 *   /slow?ms=100   "ok" after so long
 *
 * CHANGES: how many, one after the other, CHANGE_EVERY_MS apart. Then it stays at 4.
 */
import { appendFileSync } from 'node:fs';
import { request as ask, createServer } from 'node:http';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';

const { PULLPROXY_CONTROL: control, PORT, VIOLATIONS_FILE, STARTS_FILE, CHANGES = '0', CHANGE_EVERY_MS = '5', LIMIT = '4' } = process.env;
const HIGHEST = 12;

/** Requests that it has. */
let active = 0;
/** As many as it may have: its last word, or the higher one of two while the last is not in force. */
let allowed = Number(LIMIT);
/** The words of the next response, and the caller that wants to know when it is out. */
let word = null;

function ledger(file, line) {
  appendFileSync(file, `${JSON.stringify({ pid: process.pid, at: Math.round(performance.now()), ...line })}\n`);
}

const server = createServer((request, response) => {
  active++;
  response.once('close', () => active--);
  if (active > allowed) ledger(VIOLATIONS_FILE, { active, allowed });
  const ms = Number(new URL(request.url, 'http://application').searchParams.get('ms') ?? 0);
  setTimeout(() => {
    const said = word;
    word = null;
    if (said !== null) {
      response.setHeader('Pullproxy-Concurrency', String(said.value));
      response.once('finish', () => said.out(true)).once('close', () => said.out(false));
    }
    response.end('ok');
  }, ms);
});

function atControl(method, path, body) {
  return new Promise((resolve, reject) => {
    const asked = ask({ socketPath: control, method, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (part) => {
        text += part;
      });
      response.on('end', () => resolve(JSON.parse(text)));
    });
    asked.on('error', reject).end(body);
  });
}

/** The requests that the linker has given before are read by then. */
async function readAll() {
  for (let i = 0; i < 3; i++) await turn();
}

async function sayAtControl(value) {
  allowed = Math.max(allowed, value);
  const { concurrency, setBy } = await atControl('PUT', '/concurrency', String(value));
  if (concurrency !== value || setBy !== 'control') ledger(VIOLATIONS_FILE, { wanted: value, concurrency, setBy });
  await readAll();
  allowed = value;
}

/** False: no answer has gone out with it. */
async function sayInAnswer(value) {
  const before = allowed;
  allowed = Math.max(allowed, value);
  const isOut = await new Promise((resolve) => {
    word = { value, out: resolve };
    setTimeout(resolve, 1_000, false);
  });
  word = null;
  for (let i = 0; isOut && i < 200; i++) {
    // It is in force when it has arrived at the linker.
    const { concurrency, setBy } = await atControl('GET', '/');
    if (concurrency === value && (setBy === 'header' || value === before)) {
      await readAll();
      allowed = value;
      return true;
    }
    await sleep(10);
  }
  return false;
}

async function breathe() {
  for (let i = 0; i < Number(CHANGES); i++) {
    const value = Math.random() < 0.1 ? 0 : 1 + Math.floor(Math.random() * HIGHEST);
    let by = allowed > 0 && Math.random() < 0.5 ? 'header' : 'control';
    if (by === 'header' && !(await sayInAnswer(value))) by = 'lost with its connection';
    if (by !== 'header') await sayAtControl(value);
    ledger(STARTS_FILE, { value, by });
    await sleep(Math.random() * 2 * Number(CHANGE_EVERY_MS));
  }
  await sayAtControl(4);
  ledger(STARTS_FILE, { done: true });
}

server.listen(Number(PORT), '127.0.0.1', () => setTimeout(breathe, 300));
process.once('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
