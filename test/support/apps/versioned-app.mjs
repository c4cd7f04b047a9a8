/**
 * An application whose next version is a matter of what a file says when it starts: {"version": "v1", "mode": "ok"}.
 *
 *   ok       answers with its version
 *   exit     ends at its start
 *   breaks   accepts, and breaks every request off before its answer
 *   dies     ends with its first request
 *   fails    answers everything with 500
 *   fades    accepts, and ends 150 ms later
 *   sighs    answers one request, and ends 50 ms later with code 1
 *   warms    answers /healthz with 503 until FILE.warm exists, everything else as ok does
 *
 *   /gate    is answered when the file GATE exists (FILE.gate), all others at once
 *
 *     node versioned-app.mjs FILE
 */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [file] = process.argv.slice(2);
const { version, mode } = JSON.parse(readFileSync(file, 'utf8'));
if (mode === 'exit') {
  console.error(`${version} can not start`);
  process.exit(3);
}

const waiting = new Set();
setInterval(() => {
  if (!existsSync(`${file}.gate`)) return;
  for (const response of waiting) response.end(version);
  waiting.clear();
}, 20).unref();

const server = createServer((request, response) => {
  response.setHeader('x-version', version);
  if (mode === 'dies') process.exit(1);
  else if (mode === 'breaks') request.socket.destroy();
  else if (mode === 'fails') response.writeHead(500).end(version);
  else if (mode === 'warms' && request.url === '/healthz' && !existsSync(`${file}.warm`)) response.writeHead(503).end();
  else if (request.url === '/gate') waiting.add(response);
  else response.end(version);
  if (mode === 'sighs') setTimeout(() => process.exit(1), 50);
});
server.keepAliveTimeout = 60_000;
server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4_096 }, () => {
  if (mode === 'fades') setTimeout(() => process.exit(1), 150);
});
process.once('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
