/**
 * A web application to try pullproxy with; needs nothing but Node. It listens at $PORT, says which process answered, and
 * takes its time: each GET /work keeps it busy for 300 ms. GET /limit?n=5 lets it say that it takes 5 requests at once.
 */
import { createServer } from 'node:http';

const WORK_MS = 300;
let atOnce = 0;

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://demo');
  if (pathname === '/') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }).end(PAGE);
  } else if (pathname === '/limit') {
    // What this instance takes from now on. pullproxy takes the field out of the response.
    response.writeHead(200, { 'content-type': 'text/plain', 'pullproxy-concurrency': searchParams.get('n') ?? '' }).end('ok\n');
  } else if (pathname === '/work') {
    work(response);
  } else {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n');
  }
});

function work(response) {
  atOnce++;
  const body = JSON.stringify({ pid: process.pid, port: server.address().port, atOnce });
  const timer = setTimeout(() => {
    // The page asks under several names, to get around a browser's limit of six connections per name.
    response.writeHead(200, { 'content-type': 'application/json', 'access-control-allow-origin': '*', 'cache-control': 'no-store' });
    response.end(`${body}\n`);
  }, WORK_MS);
  response.once('close', () => {
    clearTimeout(timer);
    atOnce--;
  });
}

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pullproxy demo</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; --quiet: light-dark(#5b6675, #98a4b3); --line: light-dark(#d5dae1, #39424e); }
  body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }
  h1 { margin-bottom: 0.3rem; }
  p { margin: 0.4rem 0; }
  .quiet { color: var(--quiet); }
  button { margin: 1rem 0.5rem 0 0; padding: 0.6rem 1.1rem; border: 1px solid #2563eb; border-radius: 0.5rem; background: transparent;
    color: inherit; font: inherit; cursor: pointer; }
  button.main { background: #2563eb; color: #fff; }
  #requests { display: flex; flex-wrap: wrap; gap: 0.35rem; margin: 1.2rem 0; min-height: 1.6rem; }
  #requests i { width: 1.6rem; height: 1.6rem; border-radius: 0.4rem; border: 1px solid var(--line); }
  #requests .waiting { animation: pulse 1s infinite alternate; }
  #requests .failed { border: 2px solid #b91c1c; }
  @keyframes pulse { to { background: var(--line); } }
  @media (prefers-reduced-motion: reduce) { #requests .waiting { animation: none; } }
  ul { padding: 0; list-style: none; }
  li { display: flex; align-items: center; gap: 0.6rem; padding: 0.25rem 0; font-variant-numeric: tabular-nums; }
  li i { width: 1rem; height: 1rem; border-radius: 0.25rem; }
</style>
</head>
<body>
<h1>Hello from instance ${process.pid}</h1>
<p class="quiet">This page came from one process of a small web application. It was started when you asked for it.</p>
<p>Send it more than it can take. Each request is ${WORK_MS} ms of work; none gets lost: those that find no free instance are held,
and more instances are started for them. Left alone, the instances leave again.</p>
<button class="main" data-count="30">Send a crowd of 30</button><button data-count="1">Send one</button>
<p><label>An instance takes <input id="limit" type="range" min="1" max="10" value="2"> <output id="takes">2</output> at once</label></p>
<div id="requests" aria-hidden="true"></div>
<p id="summary" role="status"></p>
<ul id="instances"></ul>
<script>
const instances = new Map();
let open = 0, most = 0;
// Otherwise the browser's cache sends the same address once at a time.
const fresh = { cache: 'no-store' };

// A browser opens six connections per name. On this machine every name below localhost leads here, too.
const local = ['127.0.0.1', 'localhost', '[::1]'].includes(location.hostname);
const port = location.port ? ':' + location.port : '';
let origins = [''].concat(local ? ['a', 'b', 'c', 'd'].map((name) => 'http://' + name + '.localhost' + port) : []);

for (const button of document.querySelectorAll('button')) {
  button.onclick = () => crowd(Number(button.dataset.count));
}

// The instance that answers says the new limit in its response: it holds from then on.
const slider = document.getElementById('limit');
slider.oninput = () => document.getElementById('takes').textContent = slider.value;
slider.onchange = () => fetch('/limit?n=' + slider.value, fresh);

async function crowd(count) {
  if (open === 0) document.getElementById('requests').replaceChildren();
  const began = performance.now();
  await Promise.all(Array.from({ length: count }, (_, index) => send(origins[index % origins.length])));
  if (open === 0) say('All answered after ' + ((performance.now() - began) / 1000).toFixed(1) + ' s.');
}

async function send(origin) {
  const square = document.createElement('i');
  square.className = 'waiting';
  document.getElementById('requests').append(square);
  open++;
  say('');
  try {
    const { pid, port, atOnce } = await (await ask(origin)).json();
    if (!instances.has(pid)) instances.set(pid, { port, count: 0, color: 'hsl(' + (instances.size * 137.5) % 360 + ' 65% 50%)' });
    const instance = instances.get(pid);
    instance.count++;
    most = Math.max(most, atOnce);
    square.className = '';
    square.style.background = instance.color;
    square.title = 'instance ' + pid;
  } catch (error) {
    square.className = 'failed';
    square.title = String(error);
  }
  open--;
  say('');
  list();
}

async function ask(origin) {
  try {
    return await checked(await fetch(origin + '/work', fresh));
  } catch (error) {
    if (origin === '') throw error;
    // Not every system knows such names: from now on this page does without them.
    origins = [''];
    return checked(await fetch('/work', fresh));
  }
}

function checked(response) {
  if (!response.ok) throw new Error('answered with ' + response.status);
  return response;
}

function say(text) {
  document.getElementById('summary').textContent = text || (open > 0 ? open + ' under way' : '');
}

function list() {
  document.getElementById('instances').replaceChildren(...[...instances].map(([pid, { port, count, color }]) => {
    const item = document.createElement('li');
    const dot = document.createElement('i');
    dot.style.background = color;
    item.append(dot, 'instance ' + pid + ' (port ' + port + '): ' + count + (count === 1 ? ' request' : ' requests'));
    return item;
  }));
  const note = document.createElement('li');
  note.className = 'quiet';
  note.textContent = 'Most requests at once inside one instance: ' + most;
  document.getElementById('instances').append(note);
}
</script>
</body>
</html>
`;

server.listen(Number(process.env.PORT ?? 3000));
process.once('SIGTERM', () => server.close());
