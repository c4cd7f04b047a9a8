/** A server of one thread that computes for about WORK_MS for each request: the next ones wait meanwhile. */
import { createServer } from 'node:http';

const mean = Number(process.env.WORK_MS);

const server = createServer({ keepAliveTimeout: 600_000 }, (_request, response) => {
  // From 0.5 to 1.5 times the mean.
  const until = performance.now() + mean * (0.5 + Math.random());
  while (performance.now() < until);
  response.end('computed\n');
});
server.listen(Number(process.env.PORT), '127.0.0.1');
