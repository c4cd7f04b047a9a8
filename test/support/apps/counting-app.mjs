/**
 * An HTTP application that can stand LIMIT requests at once: one more is answered with 500 and written to VIOLATIONS_FILE.
 *
 *   /              "ok"
 *   /stats         what it has seen: {pid, limit, active, max, total, violations, connections}
 *   /headers       the request as it arrived: {method, url, headers}
 *   /echo          the body as it arrived
 *   /collect       the body, once all of it has arrived
 *   /slow?ms=100   "ok" after so long
 *   /id?ms=10      the request's X-Request-Id after so long; of a POST it is written to POSTS_FILE, too
 *   /bytes?n=1000  so many bytes, with chunked=1 in chunks of unknown number
 *   /sse?n=3&ms=100  so many events (endless without n), so far apart
 *   /close         an answer that ends its connection
 *   /break?after=0 breaks off: before its answer, or after so many bytes of it
 */
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Ledger } from './ledger.mjs';

const ledger = new Ledger();

const pages = {
  '/stats': (_request, response) => json(response, { pid: process.pid, ...ledger, connections: connections.size }),
  '/headers': (request, response) => json(response, { method: request.method, url: request.url, headers: request.headers }),
  '/echo': (request, response) => {
    response.setHeader('content-type', request.headers['content-type'] ?? 'application/octet-stream');
    request.pipe(response);
  },
  '/collect': (request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part)).on('end', () => response.end(Buffer.concat(parts)));
  },
  '/slow': (_request, response, query) => {
    const timer = setTimeout(() => response.end('ok'), Number(query.get('ms') ?? 100));
    response.once('close', () => clearTimeout(timer));
  },
  '/id': (request, response, query) => {
    if (process.env.POSTS_FILE && request.method === 'POST') appendFileSync(process.env.POSTS_FILE, `${request.headers['x-request-id']}\n`);
    setTimeout(() => response.end(request.headers['x-request-id']), Number(query.get('ms') ?? 0));
  },
  '/bytes': (_request, response, query) => bytes(response, Number(query.get('n') ?? 1000), query.has('chunked')),
  '/sse': (_request, response, query) => events(response, Number(query.get('n') ?? Infinity), Number(query.get('ms') ?? 100)),
  '/close': (_request, response) => response.setHeader('connection', 'close').end('ok'),
  '/break': (_request, response, query) => {
    const after = Number(query.get('after') ?? 0);
    if (after === 0) return response.socket.destroy();
    response.setHeader('content-length', after + 1);
    response.write('x'.repeat(after), () => response.socket.destroy());
  },
};

function json(response, value) {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
}

async function bytes(response, total, chunked) {
  if (!chunked) response.setHeader('content-length', total);
  const block = Buffer.alloc(65_536, 'x');
  for (let left = total; left > 0 && !response.destroyed; left -= block.length) {
    const room = response.write(left < block.length ? block.subarray(0, left) : block);
    if (!room) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve));
  }
  response.end();
}

function events(response, count, everyMs) {
  response.setHeader('content-type', 'text/event-stream').flushHeaders();
  let sent = 0;
  const timer = setInterval(() => {
    response.write(`data: ${++sent}\n\n`);
    if (sent >= count) response.end();
  }, everyMs);
  response.once('close', () => clearInterval(timer));
}

const connections = new Set();

const server = createServer((request, response) => {
  // 'close' comes once, when the answer is out or the connection broke.
  response.once('close', () => ledger.leave());
  if (!ledger.enter(request.url)) {
    response.statusCode = 500;
    response.end('too much at once');
    return;
  }
  const url = new URL(request.url, 'http://application');
  const page = pages[url.pathname];
  if (page) page(request, response, url.searchParams);
  else response.end('ok');
});
server.keepAliveTimeout = Number(process.env.KEEP_ALIVE_MS ?? 5000);
server.on('connection', (socket) => {
  connections.add(socket);
  socket.once('close', () => connections.delete(socket));
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log(`listening at ${server.address().port}`));

process.once('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
