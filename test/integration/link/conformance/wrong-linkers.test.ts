/** The kit tells a linker that breaks a rule: the Python linker, with one thing wrong at a time. */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { testLinker, type Verdict } from '../../../conformance/kit.ts';
import { LINKER_CHECKS } from '../../../conformance/linker-checks.ts';
import type { RuleId } from '../../../conformance/rules.ts';
import { PYTHON_LINKER, pythonLinker, settingsOf } from '../../../conformance/tested-linkers.ts';
import { ownDirectory } from '../../../support/processes.ts';

/** A text that stands in one file of it, once or several times, and what stands there instead. */
type Edit = readonly [from: string, to: string];

/** It gives each dial so long that nothing else ends it. */
const PATIENT: Edit = ['DIAL_S_MAX = 6.0', 'DIAL_S_MAX = 60.0'];

/** The breach of each rule. */
const WRONG: Partial<Record<RuleId, readonly Edit[]>> = {
  hello: [['"concurrency": concurrency,', '"concurrency": 0,']],
  'hello-nonce': [['return secrets.token_urlsafe(24)', 'return "n" * 32']],
  version: [['said.get("v") != 2 or ', '']],
  proof: [['pullproxy link 2', 'pullproxy link 3']],
  'peer-proof': [['if not hmac.compare_digest', 'if False and not hmac.compare_digest']],
  'unknown-keys': [['if said.get("v") != 2', 'if "extra" in said or said.get("v") != 2']],
  'handshake-bytes': [['self.bytes_max = HANDSHAKE_PAYLOAD_BYTES_MAX', 'self.bytes_max = PAYLOAD_BYTES_MAX'], PATIENT],
  'handshake-time': [['HANDSHAKE_S_MAX = 5.0', 'HANDSHAKE_S_MAX = 60.0'], PATIENT],
  'frame-parts': [['kept += data', 'kept[:] = data']],
  'frame-type': [['raise wire.LinkError(f"frame type {kind} from a node")', 'pass']],
  'frame-again': [['raise wire.LinkError(f"frame type {kind} from a node")', 'kind == wire.WELCOME or wire.read_number(b"")']],
  'frame-number': [
    ['if len(payload) != 4:', 'if len(payload) < 4:'],
    ['_NUMBER.unpack(payload)[0]', '_NUMBER.unpack(payload[:4])[0]'],
  ],
  'frame-bytes': [['if length > self.bytes_max:', 'if False:']],
  home: [['"home": home', '"home": False']],
  'grant-limit': [['return self.concurrency - self._moving', 'return self.concurrency + 1 - self._moving']],
  'lend-again': [['take_back(wire.read_number(payload))\n            self._lend()', 'take_back(wire.read_number(payload))']],
  'open-limit': [['if linked.in_use >= linked.lent:', 'if False:']],
  'open-twice': [['if ident in linked.streams:\n            raise', 'if False:\n            raise']],
  'return-limit': [['if not 1 <= count <= self.lent - self.in_use:', 'if False:']],
  serve: [['out += data', 'out += data.swapcase()']],
  'done-keep': [['if keep:', 'if False:']],
  'done-close': [['self._free(stream, wire.CLOSED)\n\n', 'self._free(stream, wire.APP_CLOSED)\n\n']],
  reset: [['if stream.state == "over":\n            self._free(stream, wire.CLOSED)', 'if stream.state == "over":\n            pass']],
  'late-frames': [
    [
      'if stream is None:\n            return\n        stream.receive',
      'if stream is None:\n            raise wire.LinkError("late")\n        stream.receive',
    ],
  ],
  'window-kept': [['self._credit = wire.WINDOW_BYTES\n', 'self._credit = 4 * wire.WINDOW_BYTES\n']],
  'window-given': [['if self._untold >= wire.WINDOW_BYTES // 2:', 'if False:']],
  'window-limit': [['if self._kept_bytes + self._untold > wire.WINDOW_BYTES:', 'if False:']],
  exact: [
    ['self._orphaned += self._streams_lost(linked)', 'self._streams_lost(linked)'],
    ['self._orphaned -= 1', 'pass'],
    ['len(self._tasks) < self.concurrency', 'True'],
  ],
  pong: [['self.send(PONG)', 'pass']],
  ping: [['self.send(PING)', 'pass']],
  silence: [['DEAD_AFTER_S = 3.0', 'DEAD_AFTER_S = 60.0']],
  'dial-again': [['BACKOFF_S_MIN, BACKOFF_S_MAX = 0.05, 5.0', 'BACKOFF_S_MIN, BACKOFF_S_MAX = 60.0, 60.0']],
  move: [['hello["at"] = address', 'pass']],
  'move-failed': [['linked.link.send(wire.MOVE_FAILED,', 'wire.log_nothing = (']],
  goaway: [
    ['linked.is_leaving = True', ''],
    ['is_dismissed = bool(flags & wire.ANEW)\n        self._rehome(linked)', 'is_dismissed = False'],
  ],
  'goaway-anew': [['linked.is_dismissed = bool(flags & wire.ANEW)', 'linked.is_dismissed = False']],
  'too-late': [['if "startId" in self._hello and young:', 'if False:']],
  retire: [['if self._asked_at is None:\n            return', 'if False:\n            return']],
  leave: [['linked.link.send(wire.RECALL, wire.number(linked.lent))', 'pass']],
};

test('there is a wrong linker for every rule', () => {
  expect(Object.keys(WRONG).toSorted()).toEqual(Object.keys(LINKER_CHECKS).toSorted());
});

function wrongLinker(edits: readonly Edit[]): string[] {
  const directory = ownDirectory();
  cpSync(PYTHON_LINKER, directory, { recursive: true });
  const sources = readdirSync(join(directory, 'pullproxy')).map((name) => join(directory, 'pullproxy', name));
  for (const [from, to] of edits) {
    const places = sources.filter((path) => path.endsWith('.py') && readFileSync(path, 'utf8').includes(from));
    expect([from, places.length]).toEqual([from, 1]);
    for (const path of places) writeFileSync(path, readFileSync(path, 'utf8').replace(from, to));
  }
  return pythonLinker('app', directory);
}

test.concurrent.each(Object.entries(WRONG) as [RuleId, readonly Edit[]][])(
  'the kit catches a linker that breaks the rule %s',
  async (rule, edits) => {
    const verdicts: Verdict[] = [];
    await testLinker(settingsOf(wrongLinker(edits)), [rule], (verdict) => verdicts.push(verdict));
    expect(verdicts).toMatchObject([{ broken: { rule } }]);
    // Not because the program has a mistake.
    expect(verdicts[0]?.output).not.toContain('SyntaxError');
  },
  120_000,
);
