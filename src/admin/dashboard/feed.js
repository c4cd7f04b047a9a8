/** What /api/v1/events says, and whether it still says anything. */
import { answerOf } from './calls.js';
import { byId } from './dom.js';
import { age } from './words.js';

const AGAIN_MS = 2000;
/** States come once a second. */
const LATE_MS = 4000;

/** Calls `onState` with each state, until the page is left. */
export function follow(onState) {
  let lastAt = performance.now();
  let heard = false;
  const listen = async () => {
    try {
      // Not an EventSource: that carries no token.
      const response = await answerOf('GET', 'api/v1/events');
      if (response === null) {
        connection('lost', 'needs the token: load the page again');
        return;
      }
      if (response.ok && response.body !== null) {
        for await (const data of messages(response.body)) {
          lastAt = performance.now();
          heard = true;
          onState(JSON.parse(data));
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

/** The data of each server-sent event. */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (text + value).split('\n\n');
    text = events.pop() ?? '';
    for (const event of events) if (event.startsWith('data: ')) yield event.slice('data: '.length);
  }
}

export function connection(state, text) {
  const shown = byId('connection');
  document.body.classList.toggle('stale', state === 'lost');
  if (shown.dataset.state !== state) shown.dataset.state = state;
  if (shown.textContent !== text) shown.textContent = text;
}
