/**
 * A server with a pool of workers, each of which takes about WORK_MS for a request; the others wait in the order in which they came.
 * WORKERS is how many there are: `8`, or `8:12,24:12,8` for 8, then 24 after 12 s, then 8 again after 12 s more, from the first request on.
 */
import { createServer } from 'node:http';

const mean = Number(process.env.WORK_MS);
const phases = process.env.WORKERS.split(',').map((phase) => phase.split(':').map(Number));
const waiting = [];
let workers = phases[0][0];
let busy = 0;
let hasBegun = false;

function begin() {
  hasBegun = true;
  let at = 0;
  for (const [i, [, seconds]] of phases.entries()) {
    const next = phases[i + 1];
    if (next === undefined) return;
    at += seconds * 1_000;
    setTimeout(() => {
      workers = next[0];
      work();
    }, at);
  }
}

/** Log-normal, with a standard deviation of 0.3 times the mean. */
function workMs() {
  const variance = Math.log(1 + 0.3 ** 2);
  const normal = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  return mean * Math.exp(Math.sqrt(variance) * normal - variance / 2);
}

function work() {
  while (busy < workers && waiting.length > 0) {
    const response = waiting.shift();
    busy++;
    setTimeout(() => {
      busy--;
      response.end('worked\n');
      work();
    }, workMs());
  }
}

const server = createServer({ keepAliveTimeout: 600_000 }, (_request, response) => {
  if (!hasBegun) begin();
  waiting.push(response);
  work();
});
server.listen(Number(process.env.PORT), '127.0.0.1');
