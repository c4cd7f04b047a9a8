/** Startup jobs: what they try, what came of it, and what the command wrote. */
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
          h('span', { class: `tag ${tagOf(job)}`, text: wordOf(job) }),
          h('b', { text: routeName(job.route) }),
          h('span', { class: 'what', text: what(job, now) }),
          h('span', { class: 'reason', text: reason(job) }),
        ),
        body(job),
      ),
    ),
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
