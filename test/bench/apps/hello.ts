/** A small answer from Node: at PORT, or pulled from the node at PROXY. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { pull } from '../../../src/pull/pull.ts';

const { PORT, PROXY, ROUTE } = process.env;
const hello = (_: IncomingMessage, response: ServerResponse): void => {
  response.setHeader('content-type', 'text/plain');
  response.end('hello world from the app\n');
};
if (PROXY === undefined) createServer(hello).listen(Number(PORT), '127.0.0.1');
else {
  await pull(hello, { proxy: PROXY, route: String(ROUTE), concurrency: 50 });
  // Somebody waits for it to accept.
  createServer().listen(Number(PORT), '127.0.0.1');
}
