/** The rules of src/link/PROTOCOL.md that can be seen on the wire, by the names in its table. */

/** `both`: a linker and a node. */
export type Side = 'linker' | 'node' | 'both' | 'agent' | 'agent, node';

export const RULES = {
  hello: ['linker', 'the first frame is a well-formed HELLO, at once and without being asked'],
  'hello-nonce': ['linker', 'each HELLO has a nonce of its own'],
  version: ['both', 'a version that was not offered ends the link'],
  challenge: ['node', 'a HELLO for a route that is not there is answered like any other, with a nonce of its own'],
  proof: ['both', 'the proof shows the secret over the very bytes of HELLO and CHALLENGE'],
  'peer-proof': ['both', 'a wrong proof of the peer ends the link, and nothing is lent, opened or told before'],
  'unknown-keys': ['both', 'keys and features that are not known are ignored'],
  'bad-hello': ['node', 'a malformed HELLO ends the link'],
  'dialled-address': ['node', 'a HELLO whose `at` is the address of another node is refused'],
  'handshake-bytes': ['both', 'a payload of more than 4,096 bytes before WELCOME ends the link'],
  'handshake-time': ['both', 'a peer that is silent before WELCOME is given up after 5 s'],
  'frame-parts': ['both', 'frames are understood however the bytes are cut'],
  'frame-type': ['both', 'a frame that the peer may not send ends the link'],
  'frame-again': ['both', 'a frame of the handshake that comes again after WELCOME ends the link'],
  'frame-number': ['both', 'a number that has not 4 bytes ends the link'],
  'frame-bytes': ['both', 'a payload of more than 65,536 bytes ends the link, by its length alone'],
  home: ['linker', 'the first frame after WELCOME is a well-formed STATE with `home: true`'],
  state: ['node', 'a malformed STATE ends the link'],
  'grant-limit': ['both', 'no more than the concurrency is lent, over all links together; a GRANT beyond it ends the link'],
  'lend-again': ['linker', 'returned slots are lent again'],
  'open-limit': ['both', 'a stream is opened on an idle slot only; an OPEN without one ends the link'],
  'open-twice': ['both', 'ids of streams are not 0 and not in use; an OPEN with one that is ends the link'],
  'return-limit': ['linker', 'a RETURN of more than is idle ends the link'],
  recall: ['node', 'after RECALL idle slots come back at once, and others when their streams are over'],
  serve: ['both', 'a request reaches the application, and its response the client, byte for byte'],
  'done-keep': [
    'both',
    'after DONE with KEEP the slot is idle, and nothing more is said about the stream; the payload counts the bytes that were taken',
  ],
  'done-close': ['linker', 'DONE without KEEP is answered by RESET CLOSED once the application is done, and the slot is idle'],
  reset: ['both', 'a RESET is answered by RESET, and the slot is idle; a client that leaves causes one'],
  'try-again': ['node', 'a request that was reset before it reached the application is sent again on another stream'],
  'half-close': ['node', 'when one direction of a tunnel has ended, the other goes on until it ends'],
  'late-frames': ['both', 'frames about a stream that is not there are ignored'],
  'window-kept': ['both', 'no more is sent than the window allows, and what waits does not stop other streams'],
  'window-given': ['both', 'credit comes back when bytes were passed on, and never more than what came'],
  'window-limit': ['both', 'a peer that sends more than its window loses the link'],
  exact: ['linker', 'the application never has more than the concurrency, also when links break'],
  pong: ['both', 'PING is answered by PONG'],
  ping: ['both', 'something is sent at least every second or so'],
  silence: ['both', 'a peer that says nothing for 3 s is given up'],
  flood: ['node', 'a flood of small frames ends the link'],
  features: ['node', 'frames of features that the linker did not name are not sent'],
  'dial-again': ['linker', 'a link that was lost is dialled again'],
  move: ['linker', 'after MOVE the slots are granted at the address, which is dialled with `at`'],
  'move-failed': [
    'both',
    'where that can not be, MOVE_FAILED says so, and the slots are granted again; one that was not asked for ends the link',
  ],
  goaway: ['linker', 'after GOAWAY nothing is granted on the link once there is another node, and its streams go on'],
  'goaway-anew': ['linker', 'after GOAWAY with ANEW the same node is dialled again'],
  'too-late': ['linker', 'after GOAWAY with TOO_LATE the instance leaves'],
  retire: ['both', 'a node answers RETIRE; a linker that did not ask takes no notice of an answer'],
  leave: ['linker', 'an instance that is told to end recalls its slots, says `draining`, serves what it has, and closes the link'],
  'agent-hello': [
    'agent',
    'the HELLO of an agent says `agent: true`, its route without a key and concurrency 1; STATE with its room follows WELCOME',
  ],
  'agent-feature': ['agent', 'a node without the feature `agent` gets no PROOF from an agent'],
  'agent-link': ['agent, node', 'what is malformed, or may not be sent on the link of an agent, ends it'],
  'agent-start': [
    'agent, node',
    'a START reaches an agent with room, and is answered at once; its instance links with the id of the start, and serves',
  ],
  'agent-again': ['agent', 'a START that is there already is taken, and begins nothing'],
  'agent-room': ['agent, node', 'no more is given, or taken, than there is room for, nor anything of another route'],
  'agent-failed': ['agent', 'an instance that ends before it was ready is said by `failed`, and its room is free again'],
  'agent-goaway': ['agent', 'after GOAWAY another link is made, with the same id, and STATE says the room there'],
  'agent-leave': ['agent', 'an agent that is told to end says room 0, refuses starts, serves what it has, and closes the link'],
} as const satisfies Record<string, readonly [Side, string]>;

export type RuleId = keyof typeof RULES;

export const isRule = (text: string): text is RuleId => Object.hasOwn(RULES, text);

/** What broke a rule, in words. */
export class Broken extends Error {
  readonly rule: RuleId;

  constructor(rule: RuleId, words: string) {
    super(words);
    this.rule = rule;
  }
}
