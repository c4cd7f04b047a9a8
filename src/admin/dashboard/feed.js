/** Reads /api/v1/events, and notices when nothing comes any more. */
import { responseOf } from './calls.js';
import { applied } from './differences.js';
import { byId } from './dom.js';
import { age } from './words.js';

const AGAIN_MS = 2000;
/** States come once a second. */
const LATE_MS = 4000;

/**
 * Calls `onState` with each state, `onEvents` with new events of the timeline, and `onUntold` with those that a node could not tell Redis yet, until
 * the page is left.
 */
export function follow({ onState, onEvents, onUntold }) {
  let lastAt = performance.now();
  let heard = false;
  const hears = {
    state: (data, id) => ({ state: data, id }),
    // One that is missing: the stream begins anew, with a whole state.
    difference: (data, id, had) => (had !== null && had.id === data.from ? { state: applied(had.state, data), id } : null),
  };
  const listen = async () => {
    try {
      // Not an EventSource: that carries no token.
      const response = await responseOf('GET', 'api/v1/events?differences');
      if (response === null) {
        connection('lost', 'needs the token: load the page again');
        return;
      }
      if (response.ok && response.body !== null) {
        let had = null;
        for await (const { event, id, data } of messages(response.body)) {
          lastAt = performance.now();
          heard = true;
          if (event === 'happened') onEvents([data]);
          else if (event === 'untold') onUntold(data);
          else {
            had = hears[event]?.(data, id, had) ?? null;
            if (had === null) break;
            onState(had.state);
          }
          connection('live', 'live');
        }
      }
    } catch {
      // It is tried again, as after an end.
    }
    connection('lost', heard ? 'connection lost, trying again' : 'not connected, trying again');
    setTimeout(listen, AGAIN_MS);
  };
  void listen();
  setInterval(() => {
    const silentMs = performance.now() - lastAt;
    if (heard && silentMs > LATE_MS) connection('lost', `no news for ${age(silentMs)}`);
  }, 1000);
}

/** Each server-sent event with its name, its number and what its data are. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  /** Pieces of an event that is not whole: a large state comes in hundreds. */
  let parts = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parts.push(value);
      if (!value.includes('\n')) continue;
      const events = parts.join('').split('\n\n');
      parts = [events.pop() ?? ''];
      for (const text of events) {
        const fields = Object.fromEntries(
          text.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
        );
        if (fields.data !== undefined) yield { event: fields.event, id: Number(fields.id), data: JSON.parse(fields.data) };
      }
    }
  } finally {
    void reader.cancel();
  }
}

export function connection(state, text) {
  const shown = byId('connection');
  document.body.classList.toggle('stale', state === 'lost');
  if (shown.dataset.state !== state) shown.dataset.state = state;
  if (shown.textContent !== text) shown.textContent = text;
}
