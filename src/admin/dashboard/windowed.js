/** A list of which only the rows that are seen are drawn. All rows have the same height. */
import { h } from './dom.js';

const HEIGHT_MAX = 480;
const BEYOND = 6;

/** Where each list is scrolled to, by its key. */
const tops = new Map();
let waiting = false;

/** `row`: describes the row at an index; it is placed there. `redraw`: draws the page again. */
export function windowed(key, label, count, rowHeight, row, redraw) {
  const height = Math.min(HEIGHT_MAX, count * rowHeight);
  const top = Math.min(tops.get(key) ?? 0, Math.max(0, count * rowHeight - height));
  const first = Math.max(0, Math.floor(top / rowHeight) - BEYOND);
  const last = Math.min(count, Math.ceil((top + height) / rowHeight) + BEYOND);
  const rows = Array.from({ length: Math.max(0, last - first) }, (_, i) => placed(row(first + i), first + i, count, rowHeight));
  const onscroll = ({ target }) => {
    tops.set(key, target.scrollTop);
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      redraw();
    });
  };
  return h(
    'div',
    { key, class: 'card window', tabindex: '0', role: 'group', 'aria-label': label, style: { height: `${height}px` }, onscroll },
    h('ol', { class: 'window-all', style: { height: `${count * rowHeight}px` } }, rows),
  );
}

function placed({ key, look, children }, at, count, rowHeight) {
  const style = { transform: `translateY(${at * rowHeight}px)`, height: `${rowHeight}px` };
  return h('li', { key, class: look, style, 'aria-setsize': String(count), 'aria-posinset': String(at + 1) }, children);
}
