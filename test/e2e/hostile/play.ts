/** Plays hostile input through one proxy and says what came of it, in the table's words. */
import { connectClient } from '../../support/raw-client.ts';
import type { RawSocket } from '../../support/raw-socket.ts';
import type { AnswerCase } from './answers.ts';
import type { RecordingApp } from './recording-app.ts';

const NEXT = 'GET /next HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n';
const NEXT_SEEN = 'GET /next';

/**
 * `400`: refused and closed, the application saw nothing. `→ GET /`: what the application saw; the next request on the connection was
 * served unless it says `closed`. `closed`: without a word.
 */
export async function playRequest(port: number, app: RecordingApp, bytes: string): Promise<string> {
  app.seen = [];
  const client = await connectClient(port);
  client.send(Buffer.from(bytes + NEXT, 'latin1'));
  const statuses = await statusesOf(client);
  const poisoned = await victimHurt(port);
  const seen = app.seen.filter((request) => request !== NEXT_SEEN);
  const refused = statuses.filter((status) => status !== '200').join(', ');
  const next = app.seen.includes(NEXT_SEEN);
  const passed = seen.length === 0 ? '' : `→ ${seen.join(' + ')}`;
  const rest = seen.length > 0 && refused === '' && !next ? ', closed' : '';
  const nextAlone = seen.length === 0 && next ? 'skipped, the next is served' : '';
  const said = [passed + rest, refused, nextAlone].filter((word) => word !== '').join(', ');
  return (said === '' ? 'closed' : said) + poisoned;
}

/** The status and the body that the client got; `cut off`: it can tell that something is missing. */
export async function playAnswer(port: number, app: RecordingApp, { method = 'GET', ...evil }: AnswerCase): Promise<string> {
  app.evil = evil;
  app.evilConnection = null;
  app.reusedEvil = false;
  const client = await connectClient(port);
  client.send(`${method} /evil HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n`);
  const text = await allOf(client);
  const poisoned = await victimHurt(port);
  const [status = ''] = statusLines(text);
  const at = text.indexOf('\r\n\r\n');
  const body = text.slice(at + 4);
  const reused = app.reusedEvil && !isWhole(text, body) ? '; its connection is used again' : '';
  return (status === '' ? 'closed' : `${status}${outcomeOf(status, method, text, body)}`) + reused + poisoned;
}

function outcomeOf(status: string, method: string, text: string, body: string): string {
  if (status !== '200' || method === 'HEAD') return body === '' || status === '502' ? '' : ` ${shown(body)}`;
  return isWhole(text, body) ? ` ${shown(body)}` : ' cut off';
}

/** By the length or the last chunk that its head promises. */
function isWhole(text: string, body: string): boolean {
  const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
  if (length !== undefined) return body.length >= Number(length);
  return /\r\ntransfer-encoding: *chunked/i.test(text) ? body.endsWith('0\r\n\r\n') : true;
}

function shown(body: string): string {
  const words = body.replace(/[^\x20-\x7e]+/g, ' ').trim();
  return words.length > 40 ? `${words.slice(0, 40)}…` : words;
}

/** The statuses of all responses until the connection ends. */
export async function statusesOf(client: RawSocket): Promise<string[]> {
  return statusLines(await allOf(client));
}

/** Everything up to the end of the connection, of which nothing is left then. */
async function allOf(client: RawSocket): Promise<string> {
  await client.until(() => client.ending !== null, 'the end', true);
  client.socket.destroy();
  return client.unread.toString('latin1');
}

function statusLines(text: string): string[] {
  return [...text.matchAll(/HTTP\/1\.[01] (\d{3})[^\r\n]*\r\n/g)].map(([, status]) => status as string);
}

let victims = 0;

/** Another client, on connections of its own, must get its own answers: the second may go out on a kept connection. */
async function victimHurt(port: number): Promise<string> {
  for (let i = 0; i < 2; i++) {
    const victim = await connectClient(port);
    const id = `v${victims++}`;
    victim.send(`GET /victim HTTP/1.1\r\nHost: app.test\r\nX-Id: ${id}\r\nConnection: close\r\n\r\n`);
    if (!(await allOf(victim)).endsWith(`/victim of ${id}`)) return '; **another client got it**';
  }
  return '';
}
