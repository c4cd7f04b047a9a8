/** A linker in a process of its own, to be stopped: `link-peer-process.ts PORT SECRET PING_AFTER_MS DEAD_AFTER_MS`. Answers NEWEST with STATE. */
import { connect } from 'node:net';
import { dialLink } from '../../../src/link/handshake.ts';
import { LinkerLink } from '../../../src/link/linker-link.ts';

const [port, secret, pingAfterMs, deadAfterMs] = process.argv.slice(2);
const socket = connect(Number(port), '127.0.0.1', () =>
  dialLink(socket, {
    hello: { route: 'app.example.com', instance: 'i1', seq: 1, concurrency: 1 },
    secret: String(secret),
    timing: { pingAfterMs: Number(pingAfterMs), deadAfterMs: Number(deadAfterMs) },
    ready: (link) => {
      const linker = new LinkerLink(link, {
        opened: () => {},
        done: () => {},
        returned: () => {},
        moveWanted: () => {},
        newest: () => linker.report({ home: true, state: 'ready', active: 0 }),
        retireAnswer: () => {},
        goAway: () => {},
        down: (reason) => process.stdout.write(`down: ${reason}\n`),
      });
    },
    failed: (reason) => process.stdout.write(`failed: ${reason}\n`),
  }),
);
