/** Startup jobs: what they try, what came of it, and what the command wrote. */
import { attempt } from './calls.js';
import { confirm } from './dialogs.js';
import { h } from './dom.js';
import { age, clock, counted, routeName } from './words.js';

/** @param {number} now ms since the epoch, by the server's clock */
export function jobList(jobs, now) {
  return h(
    'div',
    { class: 'card jobs' },
    ...jobs.map((job) =>
      h(
        'details',
        { key: job.id, class: `job ${job.state}` },
        h(
          'summary',
          {},
          h('span', { class: 'fold', 'aria-hidden': 'true' }),
          h('span', { class: `tag ${tagOf(job)}`, text: wordOf(job) }),
          h('b', { text: routeName(job.route) }),
          h('span', { class: 'what', text: what(job, now) }),
          h('span', { class: 'reason', text: reason(job) }),
        ),
        body(job),
        actions(job),
      ),
    ),
  );
}

/** The actions that an operator has: none while the job runs. */
function actions({ id, route, state }) {
  if (state === 'active') return h('p', { class: 'quiet', text: 'It can be tried again or removed when this try has ended.' });
  const path = `api/v1/jobs/${encodeURIComponent(id)}`;
  const again = () => void attempt(`The startup job of ${routeName(route)} is tried again.`, 'POST', `${path}/retry`);
  const remove = async () => {
    const text = 'Clients that still wait order another one.';
    if ((await confirm(`Remove this startup job of ${routeName(route)}?`, text, 'Remove')) === null) return;
    await attempt(`The startup job of ${routeName(route)} was removed.`, 'DELETE', path);
  };
  const retryable = state === 'failed' || state === 'delayed';
  return h(
    'p',
    { class: 'actions' },
    retryable &&
      h('button', { type: 'button', text: 'Try again now', 'aria-label': `Try the startup job of ${route} again now`, onclick: again }),
    h('button', { type: 'button', text: 'Remove', 'aria-label': `Remove the startup job of ${route}`, onclick: () => void remove() }),
  );
}

export const words = { active: 'running', waiting: 'waiting', delayed: 'trying again', failed: 'given up', completed: 'done' };

function tagOf({ state, attempts }) {
  return { delayed: attempts === 0 ? 'waiting' : 'bad', failed: 'bad', completed: 'good', active: 'waiting', waiting: 'waiting' }[state];
}

/** One that has not failed yet is put off because others failed before it. */
function wordOf({ state, attempts }) {
  return state === 'delayed' && attempts === 0 ? 'put off' : words[state];
}

function what({ state, attempts, attemptsMax, orderedAt, beganAt, endedAt, nextTryAt, forced, runs }, now) {
  const count = Array.isArray(runs) ? runs.length : runs;
  const ran = count === 0 ? 'nothing was missing' : `${counted(count, 'command')} run`;
  const more = forced > 0 ? `, ${forced} asked for by hand` : '';
  if (state === 'active') return `for ${age(now - (beganAt ?? orderedAt))}, try ${attempts + 1} of ${attemptsMax}${more}`;
  if (state === 'waiting') return `for a scaler since ${age(now - orderedAt)}${more}`;
  if (state === 'delayed') {
    const failed = attempts === 0 ? '' : `, ${attempts} of ${counted(attemptsMax, 'try', 'tries')} failed`;
    return `${attempts === 0 ? 'begins ' : ''}in ${age((nextTryAt ?? now) - now)}${failed}${more}`;
  }
  const result = state === 'failed' ? ` after ${counted(attempts, 'try', 'tries')}` : `, ${ran}`;
  return `${age(now - (endedAt ?? orderedAt))} ago${result}${more}`;
}

function reason(job) {
  const last = lastRun(job);
  if (last === null || last.failure === null) return job.failure ?? '';
  const written = last.output.trimEnd().split('\n').at(-1) ?? '';
  const how = last.exitCode === null ? last.failure : `exit ${last.exitCode}`;
  return written === '' ? how : `${how}: ${written}`;
}

/** The overview has the last run, the page of all jobs has all that are remembered. */
function lastRun({ runs, lastRun: last }) {
  return Array.isArray(runs) ? (runs.at(-1) ?? null) : last;
}

function body(job) {
  const runs = Array.isArray(job.runs) ? job.runs.toReversed() : [job.lastRun].filter((run) => run !== null);
  if (runs.length === 0) return h('p', { class: 'quiet', text: job.failure ?? 'No startup command of it has ended yet.' });
  return h(
    'ol',
    { class: 'runs' },
    ...runs.map((run) =>
      h(
        'li',
        { key: `${run.startId} ${run.endedAt}` },
        h(
          'p',
          {},
          h('code', { text: run.startId }),
          h('span', { class: run.failure === null ? 'good' : 'bad', text: ended(run) }),
          h('span', {
            class: 'quiet',
            text: `after ${age(run.durationMs)}, at ${clock(run.endedAt)}${run.count > 1 ? `, for ${run.count} instances` : ''}`,
          }),
        ),
        run.output === ''
          ? h('p', { class: 'quiet', text: run.failure !== null && run.exitCode !== null ? 'It wrote nothing.' : '' })
          : h('pre', { tabindex: '0', text: run.output }),
      ),
    ),
  );
}

function ended({ exitCode, failure }) {
  return exitCode === null ? (failure ?? 'ended') : `exit ${exitCode}`;
}
