/** What /api/v1/events says, and whether it still says anything. */
import { byId } from './dom.js';
import { age } from './words.js';

const AGAIN_MS = 2000;
/** States come once a second. */
const LATE_MS = 4000;

/** Calls `onState` with each state, until the page is left. */
export function follow(onState) {
  let lastAt = performance.now();
  let heard = false;
  const listen = () => {
    const events = new EventSource('api/v1/events');
    events.onmessage = ({ data }) => {
      lastAt = performance.now();
      heard = true;
      onState(JSON.parse(data));
      connection('live', 'live');
    };
    events.onerror = () => {
      connection('lost', heard ? 'connection lost, trying again' : 'not connected, trying again');
      // After an answer that is an error the browser gives up; a node that restarts may give one.
      if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
    };
  };
  listen();
  setInterval(() => {
    const silentMs = performance.now() - lastAt;
    if (silentMs > LATE_MS) connection('lost', heard ? `no news for ${age(silentMs)}` : 'no answer yet');
  }, 1000);
}

export function connection(state, text) {
  const shown = byId('connection');
  document.body.classList.toggle('stale', state === 'lost');
  if (shown.dataset.state !== state) shown.dataset.state = state;
  if (shown.textContent !== text) shown.textContent = text;
}
