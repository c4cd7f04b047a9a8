/** Numbers, ages and moments as people read them. */

export function number(value) {
  return value.toLocaleString('en-US');
}

export function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** A time in ms, short enough for an axis: `3 ms`, `1.2 s`, `4 min`. */
export function brief(ms) {
  if (ms < 0.95) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  return age(ms);
}

/** `0.4 s`, `12 s`, `3 min`, `2 h`, `5 days`. */
export function age(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  if (seconds < 7170) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** How fast starts begin, and the jobs that wait; nothing when that is not known. */
export function startRate(rate) {
  if (rate === null || rate === undefined) return '';
  const { perSecond, fixed, slowed, waiting, oldestMs } = rate;
  const rounded = Number(perSecond.toFixed(perSecond < 10 ? 1 : 0));
  const pace = `${fixed ? `Up to ${counted(rounded, 'job')} a second begin (--rate)` : `Up to ${counted(rounded, 'start')} a second begin`}${slowed ? ', fewer than at first, because starts have failed' : ''}.`;
  return waiting === 0 ? pace : `${pace} ${counted(waiting, 'job waits', 'jobs wait')}, the oldest for ${age(oldestMs)}.`;
}

/** `12:04:31`, on this day. */
export function clock(ms) {
  return new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
}

/** `*` says what it is. */
export function routeName(name) {
  return name === '*' ? '* (any host)' : name;
}
