/** The page at `/jobs`: all startup jobs that the queue remembers. */
import { responseOf } from './calls.js';
import { byId, h, input, isTyping, show } from './dom.js';
import { connection } from './feed.js';
import { jobList, words } from './job-list.js';
import { counted, startRate } from './words.js';

const EVERY_MS = 2000;

let latest = null;
let wanted = null;
const filter = input('filter');
const at = new URLSearchParams(location.search).get('route');
if (at !== null) filter.value = at;

filter.addEventListener('input', draw);
document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || isTyping(event)) return;
  event.preventDefault();
  filter.focus();
});
void look();

async function look() {
  try {
    const response = await responseOf('GET', 'api/v1/jobs');
    if (response === null) {
      connection('lost', 'needs the token: load the page again');
      return;
    }
    const listed = await response.json();
    if (!response.ok) throw new Error(listed.error?.message);
    latest = { ...listed, at: Date.parse(response.headers.get('date') ?? '') || Date.now() };
    connection('live', 'live');
  } catch (error) {
    connection('lost', error instanceof TypeError ? 'not connected, trying again' : error.message);
  }
  draw();
  setTimeout(look, EVERY_MS);
}

function draw() {
  if (latest === null) return;
  const { jobs, scalers, rate, at: now } = latest;
  const name = filter.value.trim().toLowerCase();
  const fitting = jobs.filter(({ route }) => route.includes(name));
  show(byId('about'), `${about(scalers)} ${scalers === 0 ? '' : startRate(rate)}`);
  show(
    byId('states'),
    choice(null, 'all', fitting.length),
    ...Object.entries(words).map(([state, word]) => choice(state, word, fitting.filter((job) => job.state === state).length)),
  );
  const shown = fitting.filter(({ state }) => wanted === null || state === wanted);
  show(byId('jobs'), shown.length === 0 ? h('p', { class: 'card quiet', text: 'None.' }) : jobList(shown, now));
}

function about(scalers) {
  if (scalers === null) return 'Each is an order for instances of one route.';
  return `Each is an order for instances of one route, taken by a scaler, which runs its startup command. ${scalers === 0 ? 'No scaler is there.' : `${counted(scalers, 'scaler')} there.`}`;
}

function choice(state, word, count) {
  return h('button', {
    key: word,
    type: 'button',
    'aria-pressed': String(wanted === state),
    text: `${word} ${count}`,
    onclick: () => {
      wanted = state;
      draw();
    },
  });
}
