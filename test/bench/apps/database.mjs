/**
 * A server that asks a database for each request: the Redis at REDIS_URL, of one thread as it is, does nothing else for about 4 ms, so that
 * requests wait there. About 36 ms more of each request pass elsewhere.
 */
import { createServer } from 'node:http';
import { setTimeout as pass } from 'node:timers/promises';
import { Redis } from 'ioredis';

const SLOW_SECONDS = 0.004;
const ELSEWHERE_MS = 36;

const redis = new Redis(process.env.REDIS_URL, { enableReadyCheck: false });

const server = createServer({ keepAliveTimeout: 600_000 }, async (_request, response) => {
  await pass(ELSEWHERE_MS * (0.25 + Math.random() / 2));
  await redis.call('DEBUG', 'SLEEP', String(SLOW_SECONDS * (0.5 + Math.random())));
  await pass(ELSEWHERE_MS * (0.25 + Math.random() / 2));
  response.end('found\n');
});
server.listen(Number(process.env.PORT), '127.0.0.1');
