/**
 * An application that writes down each request that it gets, and that it is done with it. GET and POST /?ms=N answer after N ms with the request's
 * X-Request-Id and the instance's id. SIGUSR2: it takes the next limit of HISTORY_LIMITS, by its control socket.
 */
import { request as ask, createServer } from 'node:http';
import { HistoryFile } from '../recorder/history-file.ts';

const { HISTORY_DIR = '', HISTORY_LIMITS = '', HISTORY_ROUTE = '', PULLPROXY_CONTROL = '' } = process.env;
const { PULLPROXY_INSTANCE = '', PULLPROXY_START_ID = '', LIMIT = '1', PORT } = process.env;

const file = new HistoryFile(HISTORY_DIR, 'app', PULLPROXY_START_ID || PULLPROXY_INSTANCE);
file.add({ e: 'up', instance: PULLPROXY_INSTANCE, route: HISTORY_ROUTE, startId: PULLPROXY_START_ID, limit: Number(LIMIT) });

const server = createServer((request, response) => {
  const id = String(request.headers['x-request-id'] ?? '');
  let isOver = false;
  const { socket } = request;
  const over = (whole: boolean): void => {
    if (isOver) return;
    isOver = true;
    socket.off('end', gone);
    file.add({ e: 'end', id, whole });
  };
  // Before this process answers the FIN: from then on the linker may send the next request.
  const gone = (): void => over(false);
  socket.prependOnceListener('end', gone);
  const key = request.headers['x-key'];
  const keyed = key === undefined ? {} : { key: String(key) };
  file.add({ e: 'begin', id, method: request.method ?? '', host: String(request.headers.host ?? ''), ...keyed });
  const ms = Number(new URL(request.url ?? '/', 'http://application').searchParams.get('ms') ?? 0);
  const timer = setTimeout(() => {
    response.setHeader('x-instance', PULLPROXY_INSTANCE);
    over(true);
    response.end(id);
  }, ms);
  response.once('close', () => {
    clearTimeout(timer);
    over(false);
  });
  request.resume();
});
server.keepAliveTimeout = 5_000;
server.listen(Number(PORT), '127.0.0.1');

const limits = HISTORY_LIMITS.split(',').filter(Boolean).map(Number);
process.on('SIGUSR2', () => {
  const limit = limits.shift();
  if (limit === undefined) return;
  limits.push(limit);
  file.add({ e: 'asks', limit });
  const put = ask({ socketPath: PULLPROXY_CONTROL, path: '/concurrency', method: 'PUT' }, (response) => {
    response.resume().once('end', () => {
      if (response.statusCode === 200) file.add({ e: 'agreed', limit });
    });
  });
  put.on('error', () => {});
  put.end(String(limit));
});

process.once('SIGTERM', () => {
  file.add({ e: 'told' });
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
