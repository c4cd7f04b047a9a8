/**
 * A process that a supervisor may start: says that it is ready, answers `pid`, and behaves as its arguments tell.
 *
 *   node pool-member.mjs [fails] [fails-saying] [silent] [slow] [stuck] [leaves]
 */
const manners = process.argv.slice(2);
if (manners.includes('fails')) process.exit(3);
if (manners.includes('fails-saying')) {
  const error = { name: 'ConfigError', message: 'bad', problems: ['--this: bad'] };
  process.send({ t: 'failed', error }, () => process.exit(2));
  await new Promise(() => {});
}
if (manners.includes('stuck')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
if (manners.includes('leaves')) setTimeout(() => process.exit(0), 50);

process.on('message', ({ t, call, method, args }) => {
  if (t === 'leave') setTimeout(() => process.exit(0), manners.includes('slow') ? 600_000 : 0);
  else if (method === 'pid') process.send({ t: 'answer', call, value: process.pid });
  else if (method === 'settings') process.send({ t: 'failure', call, error: { name: 'ConfigError', message: 'bad', problems: args } });
  else process.send({ t: 'failure', call, error: { name: 'DirectoryUnavailable', message: `no ${method}` } });
});
process.on('disconnect', () => process.exit(0));
process.send({ t: 'ready', facts: { pid: process.pid } });
if (!manners.includes('silent')) setInterval(() => process.send({ t: 'beat', facts: { pid: process.pid } }), 500);
