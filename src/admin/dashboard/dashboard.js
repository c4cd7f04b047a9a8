/** Draws what /api/v1/events says. Only text nodes are made from data, so a name can't become markup. */

const ROUTES_SHOWN = 200;
const DOTS_MAX = 40;
const AGAIN_MS = 2000;

listen();

function listen() {
  const events = new EventSource('api/v1/events');
  events.onmessage = ({ data }) => {
    show(JSON.parse(data));
  };
  events.onerror = () => {
    connection('lost', 'not connected, trying again');
    // After an answer that is an error the browser gives up; a node that restarts may give one.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  };
}

function show(state) {
  const redis = { true: 'live', false: 'live, without Redis: it is not reachable', null: 'live' }[String(state.redis.connected)];
  connection(state.redis.connected === false ? 'lost' : 'live', redis);
  byId('node').textContent = state.node ?? '';
  const sum = (read) => state.routes.reduce((total, route) => total + read(route), 0);
  byId('totals').replaceChildren(
    total(
      'held',
      sum(({ held }) => held),
    ),
    total(
      'active',
      sum(({ active }) => active),
    ),
    total(
      'slots',
      sum(({ slots }) => slots),
    ),
    total(
      'free slots',
      sum(({ free }) => free),
    ),
    total(
      'instances',
      sum(({ instances }) => instances.length),
    ),
    total(
      'starting',
      sum(({ starting }) => starting),
    ),
  );
  byId('routes').replaceChildren(...routes(state.routes));
  byId('nodes').replaceChildren(...state.nodes.toSorted(byKey('id')).map(node));
}

function routes(all) {
  if (all.length === 0) return [element('p', 'quiet', 'None yet: a route appears with its first linker, or when it is configured.')];
  const shown = all.toSorted(byKey('name')).slice(0, ROUTES_SHOWN).map(route);
  if (all.length > ROUTES_SHOWN) shown.push(element('p', 'quiet', `and ${all.length - ROUTES_SHOWN} more`));
  return shown;
}

function route({ name, held, active, slots, free, starting, instances }) {
  const facts = element('ul', 'facts');
  facts.append(
    element('li', held > 0 ? 'waiting' : '', `${held} held`),
    element('li', '', `${active} active`),
    element('li', '', `${free} of ${slots} slots free`),
    element('li', starting > 0 ? 'waiting' : '', `${starting} starting`),
  );
  const list = element('ul', 'instances');
  list.append(...instances.toSorted((a, b) => b.seq - a.seq).map(instance));
  const card = element('article', 'route');
  card.append(element('h3', '', name === '*' ? '* (any host)' : name), facts, list);
  return card;
}

function instance({ id, concurrency, active, node, state }) {
  const line = element('p');
  line.append(element('span', '', id), element('span', 'quiet', state === 'ready' ? node : state));
  const item = element('li', `instance ${state}`);
  item.title = `${id} at ${node}: ${state}, ${active} of ${concurrency} slots in use`;
  item.append(line, concurrency <= DOTS_MAX ? dots(active, concurrency) : bar(active, concurrency));
  return item;
}

function dots(active, concurrency) {
  const row = element('div', 'dots');
  for (let i = 0; i < concurrency; i++) row.append(element('span', i < active ? 'dot busy' : 'dot'));
  return row;
}

function bar(active, concurrency) {
  const filled = element('div', 'filled');
  filled.style.width = `${(100 * active) / concurrency}%`;
  const frame = element('div', 'bar');
  frame.append(filled);
  return frame;
}

function node({ id, address, held, active, links, heartbeatAgeMs }) {
  const row = element('tr');
  row.append(
    element('td', '', id),
    element('td', '', address),
    element('td', 'number', held),
    element('td', 'number', active),
    element('td', 'number', links),
    element('td', 'number', `${(heartbeatAgeMs / 1000).toFixed(1)} s ago`),
  );
  return row;
}

function total(name, value) {
  const box = element('div', 'total');
  box.append(element('dt', '', name), element('dd', '', value));
  return box;
}

function connection(state, text) {
  const shown = byId('connection');
  if (shown.textContent === text) return;
  shown.dataset.state = state;
  shown.textContent = text;
}

function element(tag, className = '', text = '') {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  if (text !== '') made.textContent = String(text);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

function byKey(key) {
  return (a, b) => (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : 0);
}
