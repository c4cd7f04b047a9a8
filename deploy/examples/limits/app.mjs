/**
 * A Node application that says how much it takes by its answers. It takes 20 requests at once, and half as many while its event loop is
 * late. It listens at $PORT.
 */
import { createServer } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const USUAL = 20;
const LATE_MS = 50;

const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();

createServer((_request, response) => {
  const isLate = delay.percentile(90) / 1e6 > LATE_MS;
  delay.reset();
  // pullproxy takes the field out: no client sees it.
  response.setHeader('Pullproxy-Concurrency', isLate ? USUAL / 2 : USUAL);
  response.end('ok\n');
}).listen(Number(process.env.PORT), '127.0.0.1');
