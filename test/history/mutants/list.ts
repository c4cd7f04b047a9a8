/** A mistake that somebody could make, as a change of one place of the code. A change that no longer applies fails the command, and is to be written anew. */
export interface Mutant {
  readonly name: string;
  /** Below src/. */
  readonly file: string;
  /** There exactly once. */
  readonly from: string;
  readonly to: string;
  /** A second place of the same file: what two rules hold up is wrong only without both. */
  readonly and?: { readonly from: string; readonly to: string };
  /** The first schedule that is tried; 1 without it. */
  readonly seed?: number;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'a request that may not be sent twice is sent again',
    file: 'node/visits/retry-policy.ts',
    from: 'const isHarmless = !reached || (safe && (reused ||',
    to: 'const isHarmless = !reached || ((safe || whole) && (reused ||',
  },
  {
    name: 'an instance lends a slot more than it has',
    file: 'linker/slots.ts',
    from: 'return Math.max(0, this.limit - this.#out);',
    to: 'return Math.max(0, this.limit + 1 - this.#out);',
  },
  {
    name: 'the application is given what is beyond its limit',
    file: 'linker/app-pool.ts',
    from: 'return this.places < this.#slots.limit;',
    to: 'return true;',
    and: {
      from: 'if (this.#slots.atApplication > this.#slots.limit) {\n      this.#wait(',
      to: 'if (this.#slots.limit < 0) {\n      this.#wait(',
    },
  },
  {
    name: 'a slot is idle before its application connection is closed',
    file: 'linker/app-connection.ts',
    from: "if (this.#state === 'closed') this.#free(ResetCode.CLOSED);\n    else this.close();",
    to: 'const pool = this.#owner as unknown as { closed(c: AppConnection, r: boolean): void };\n    this.close();\n    pool.closed(this, false);\n    this.#free(ResetCode.CLOSED);',
  },
  {
    name: 'a connection is used again while the response of another request is on its way',
    file: 'linker/app-connection.ts',
    from: 'if (code !== ResetCode.LINK_LOST) this.#abandon();\n    this.#over();',
    to: "if (code === ResetCode.LINK_LOST || this.#state !== 'serving') {\n      this.#over();\n      return;\n    }\n    const stream = this.#stream;\n    this.#state = 'kept';\n    this.keptAt = performance.now();\n    this.#free(ResetCode.CLOSED);\n    if (stream === null || !this.#owner.keep(this)) this.close();",
  },
  {
    name: 'a RETURN is lost',
    file: 'link/node-link.ts',
    from: 'this.link.writer.number(Frame.RETURN, 0, 0, given);',
    to: '',
  },
  {
    name: 'a recall is ignored',
    file: 'link/node-link.ts',
    from: 'const later = count - Math.min(count, this.idle);\n    this.giveBack(count - later);',
    to: 'const later = count * 0;',
  },
  {
    name: 'a slot that was in use when it was recalled stays',
    file: 'link/node-link.ts',
    from: 'this.#owed = Math.min(this.#owed + later, this.active + this.#reserved);',
    to: '',
  },
  {
    name: 'the slots of a lost link do not come home',
    file: 'linker/slots.ts',
    from: 'this.takeBack(lent);\n    this.#orphaned += inUse;',
    to: 'this.#orphaned += inUse * 0;',
  },
  {
    name: 'an instance that leaves keeps its slots lent',
    file: 'linker/links.ts',
    from: "this.#state = 'leaving';\n    this.#recallAll();",
    to: "this.#state = 'leaving';",
  },
  {
    name: 'a raised limit is not lent',
    file: 'linker/surplus.ts',
    from: 'this.#options.lend();\n    this.#recall();',
    to: 'this.#recall();',
  },
  {
    name: 'a slot that could not move is forgotten',
    file: 'linker/moves.ts',
    from: "if (from.state === 'up' && mayLend()) from.grant(count);",
    to: 'slots.beginMove(count);',
  },
  {
    name: 'a slot that arrives is not granted',
    file: 'linker/moves.ts',
    from: 'slots.endMove(count);\n      if (mayLend()) linked.grant(count);',
    to: 'if (mayLend()) linked.grant(0);',
  },
  {
    name: 'a hold is not removed when its client is served',
    file: 'cluster/member/presence.ts',
    from: 'this.#held.remove(id);\n    if (this.#held.pending) this.#scheduleHolds();',
    to: 'if (id === null) this.#held.remove(id);',
  },
  {
    name: 'a promise does not lapse',
    file: 'cluster/memory/route-state.ts',
    from: 'this.#held.promise(client, now + PROMISE_MS);',
    to: 'this.#held.promise(client, now + 600_000);',
  },
  {
    name: 'nobody is told which slots a search has promised',
    file: 'cluster/memory/directory.ts',
    from: 'moves: found.moves.map((move) => ({ ...move, told: this.#told(route, caller, move) })) };',
    to: 'moves: found.moves.filter((move) => this.#now() < 0 && this.#told(route, caller, move)) };',
  },
  {
    name: 'nobody looks again for who is held',
    file: 'cluster/member/sweep.ts',
    from: 'this.#timer = setTimeout(this.#due, delayMs).unref();',
    to: 'this.#timer = setTimeout(this.#due, delayMs + 60_000).unref();',
  },
  {
    name: 'a node that has idle slots does not hear that others want them',
    file: 'node/cluster-events.ts',
    from: 'const left = route === undefined ? count : this.#context.handoffs.handOver(route, count, asker.address, instance);',
    to: 'const left = route === undefined ? count : 0;',
  },
  {
    name: 'a node is not told that clients wait elsewhere when the message is lost',
    file: 'cluster/member/presence.ts',
    from: 'if (reply.heldElsewhere > 0) this.#offers.heldElsewhere();',
    to: 'if (reply.heldElsewhere < 0) this.#offers.heldElsewhere();',
    seed: 100_018,
  },
  {
    name: 'a request that waits at its linker is sent elsewhere before the linker has given it back',
    file: 'node/visits/live-visit.ts',
    from: 'this.#comesBack = true;\n    this.takeBack();',
    to: 'this.#excused++;\n    this.#goBack();',
    seed: 100_093,
  },
  {
    name: 'who came last is served first',
    file: 'node/matching/held-queue.ts',
    from: 'return this.#discipline.next(this.#oldest);',
    to: 'return this.#discipline.next(this.#oldest) === this.#oldest ? this.#youngest : this.#discipline.next(this.#oldest);',
  },
  {
    name: 'a new client passes those who are held',
    file: 'node/matching/dispatch.ts',
    from: 'const lender = route.held.next === null ? this.#choose(route, 0, visit) : null;',
    to: 'const lender = this.#choose(route, 0, visit);',
  },
  {
    name: 'urgency is not looked at',
    file: 'node/matching/queue-rules.ts',
    from: 'urgency: rules.priority === undefined || !isBelieved ? URGENCY_DEFAULT : urgencyOf(rules.priority, word),',
    to: 'urgency: urgencyOf === undefined ? 0 : URGENCY_DEFAULT,',
  },
  {
    name: 'a paused route is served on',
    file: 'node/matching/dispatch.ts',
    from: 'visit !== null && !route.isPaused; visit',
    to: 'visit !== null; visit',
  },
  {
    name: 'an application gets requests of another route',
    file: 'node/front-door.ts',
    from: 'return this.#context.routes.matchRequest(host, request);',
    to: "return this.#context.routes.matchRequest(host === 'fair.test' ? 'plain.test' : host, request);",
  },
  {
    name: 'a request goes to an instance of another key',
    file: 'node/keys/keys.ts',
    from: 'const known = routes.keyOf(parent, key);',
    to: "const known = routes.keyOf(parent, key === 'red' ? 'green' : key) ?? routes.keyOf(parent, key);",
  },
  {
    name: 'starts that are under way do not count',
    file: 'scaling/desired.ts',
    from: 'const begun = demand.ready + demand.paused + demand.starting +',
    to: 'const begun = demand.ready + demand.paused +',
  },
  {
    name: 'more instances are started than a route may have',
    file: 'scaling/desired.ts',
    from: 'const missing = Math.max(0, Math.min(aim.desired, aim.limit) - begun);',
    to: 'const missing = Math.max(0, aim.desired - begun);',
  },
  {
    name: 'nobody hears that an instance is needed',
    file: 'cluster/member/demand-calls.ts',
    from: 'listener.onStartNeeded(this.#route);',
    to: 'if (now < 2_500) listener.onStartNeeded(this.#route);',
  },
  {
    name: 'a response is written twice',
    file: 'node/clients/client-socket.ts',
    from: 'return this.socket.write(bytes);',
    to: 'if (bytes.length > 190) this.socket.write(bytes);\n    return this.socket.write(bytes);',
  },
  {
    name: 'a stream whose link is lost is forgotten',
    file: 'link/link.ts',
    from: 'Stream.tellReset(handler, ResetCode.LINK_LOST, true, false);',
    to: 'if (streams.length === 0) Stream.tellReset(handler, ResetCode.LINK_LOST, true, false);',
  },
  {
    name: 'a slot is idle twice when its stream is over',
    file: 'link/node-link.ts',
    from: 'this.idle += count;\n    const back =',
    to: 'this.idle += 2 * count;\n    const back =',
  },
];
