/**
 * Stands in for kubectl and nomad: writes down what it was asked (SCHEDULER_RECORD), and runs the linker that the cluster would run,
 * with the cluster's own names (FAKE_PROXY, FAKE_SECRET) in place of those that mean nothing here, and times (PULLPROXY_IDLE_TIMEOUT) that a
 * test can wait for. It works in the current directory, where deploy/ is as in the image.
 *
 *     kubectl apply --filename -     a manifest on standard input
 *     nomad job dispatch ...
 */
import { spawn } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parse } from 'yaml';

const { SCHEDULER_RECORD, PULLPROXY_MAIN, FAKE_PROXY, FAKE_SECRET, PULLPROXY_IDLE_TIMEOUT } = process.env;
const [, program = '', ...args] = process.argv;
const manifest = basename(program) === 'kubectl' ? readFileSync(0, 'utf8') : '';
appendFileSync(SCHEDULER_RECORD, `${JSON.stringify({ program: basename(program), args, manifest })}\n`);

const { env, command } = basename(program) === 'kubectl' ? ofManifest(parse(manifest)) : ofDispatch(args);
const linker = spawn(process.execPath, [PULLPROXY_MAIN, ...command], {
  detached: true,
  stdio: 'ignore',
  env: {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    ...env,
    PULLPROXY_PROXY: FAKE_PROXY,
    PULLPROXY_SECRET: FAKE_SECRET,
    PULLPROXY_IDLE_TIMEOUT,
  },
});
linker.unref();

function ofManifest({ spec }) {
  const [container] = spec.template.spec.containers;
  const said = container.env.filter(({ value }) => value !== undefined);
  return { command: container.args, env: Object.fromEntries(said.map(({ name, value }) => [name, value])) };
}

/** The job that deploy/recipes/nomad/app.nomad.hcl makes of the dispatch. */
function ofDispatch(words) {
  const meta = Object.fromEntries(words.flatMap((word, at) => (word === '-meta' ? [words[at + 1].split(/=(.*)/s, 2)] : [])));
  return {
    command: ['linker', '--', 'node', 'deploy/examples/demo-app.mjs'],
    env: { PULLPROXY_ROUTE: meta.route, PULLPROXY_START_ID: meta.start_id, PULLPROXY_CONCURRENCY: '2' },
  };
}
