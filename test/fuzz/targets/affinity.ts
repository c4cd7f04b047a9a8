import assert from 'node:assert';
import { Affinity } from '../../../src/node/matching/affinity.ts';
import { HeldQueue, HeldTally } from '../../../src/node/matching/held-queue.ts';
import type { Visit } from '../../../src/node/matching/visit.ts';
import { latin1, type Target } from '../target.ts';

const INSTANCES = ['i1', 'i2', 'i3'];

const MADE = (['set-cookie', 'cookie', 'header', 'client'] as const).map((from) => {
  const source = from === 'cookie' || from === 'header' ? { from, name: 'sid' } : { from };
  const made = new Affinity('app.test', source, 100, (waitMs) => new HeldQueue<Visit>(waitMs, new HeldTally(), () => {}));
  made.ready(
    INSTANCES.map((id) => ({ id, node: 'n1' })),
    [],
    0,
  );
  return made;
});

/** Each request leads to an instance that is there, or to none, and what is answered is one line. */
export const AFFINITY: Target = {
  name: 'affinity',
  sources: ['/src/node/matching/affinity.ts', '/src/node/matching/queue-rules.ts'],
  words: ['sid=', 'pullproxy-', '; ', ',', '=', '"', ' ', '\t', '\0'],
  seeds: ['sid=a', 'a=b; sid=alice; c=d', 'pullproxy-00000000=AAAAAAAAAAAAAAAA', '=;=;==', 'sid=a, sid=b'].map(latin1),
  run(bytes) {
    const text = bytes.toString('latin1');
    const word = { address: text, isTrusted: false, method: 'GET', target: '/', header: () => text };
    for (const one of MADE) {
      const wish = one.wishOf(word);
      wish.instance = one.find(wish);
      assert(wish.instance === null || INSTANCES.includes(wish.instance));
      assert(wish.values.length <= 8 && wish.values.every((value) => value !== '' && value.length <= 4_096));
      const line = one.cookieLine(wish, 'i1', false);
      assert(line === '' || /^Set-Cookie: pullproxy-[0-9a-f]{8}=[\w-]{16}; [^\r\n]+\r\n$/.test(line));
    }
  },
};
