/**
 * Asks URL (argument 1) with the Host of argument 2 at a fixed pace, half on kept connections, half on fresh ones, until SIGTERM. Then it prints
 * what became of them, as JSON: { sent, lost, kinds: { error: count }, longestGapMs }.
 */
import { Agent, request } from 'node:http';

const [, , url, host] = process.argv;
const EVERY_MS = 10;
const TIMEOUT_MS = 3_000;
const kept = new Agent({ keepAlive: true });
const fresh = new Agent({ keepAlive: false });

let sent = 0;
let lost = 0;
let open = 0;
let answeredAt = performance.now();
let longestGapMs = 0;
const kinds = {};

function ask(agent) {
  sent += 1;
  open += 1;
  let over = false;
  const end = (kind) => {
    if (over) return;
    over = true;
    open -= 1;
    if (kind === null) {
      longestGapMs = Math.max(longestGapMs, performance.now() - answeredAt);
      answeredAt = performance.now();
    } else {
      lost += 1;
      kinds[kind] = (kinds[kind] ?? 0) + 1;
    }
  };
  const asked = request(url, { agent, headers: { host }, timeout: TIMEOUT_MS }, (response) => {
    response.on('error', (error) => end(error.code ?? error.message));
    response.on('end', () => end(response.statusCode === 200 ? null : `status ${response.statusCode}`));
    response.resume();
  });
  asked.on('timeout', () => asked.destroy(new Error('timeout')));
  asked.on('error', (error) => end(`${error.code ?? error.message}${asked.reusedSocket ? ' on a kept connection' : ''}`));
  asked.end();
}

const pace = setInterval(() => ask(sent % 2 === 0 ? kept : fresh), EVERY_MS);
process.on('SIGTERM', async () => {
  clearInterval(pace);
  while (open > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  console.log(JSON.stringify({ sent, lost, kinds, longestGapMs: Math.round(longestGapMs) }));
  process.exit(0);
});
console.log('{"msg":"ready"}');
