/** One side of a handshake with how it ended. */
import { expect } from '@jest/globals';
import { type AcceptOptions, acceptLink, type DialOptions, dialLink } from '../../../src/link/handshake.ts';
import { HELLO, SECRET } from './link-pair.ts';
import { type SocketPair, socketPair, until } from './link-wire.ts';

/** How one side's handshake ended; waits for the first end, and holds every later one against it. */
export class Outcome {
  readonly all: string[] = [];

  async reason(): Promise<string> {
    await until(() => this.all.length > 0, 'the handshake ended');
    await new Promise(setImmediate);
    expect(this.all).toHaveLength(1);
    return this.all[0] ?? '';
  }
}

export function accept({ accepted }: SocketPair, over: Partial<AcceptOptions> = {}): Outcome {
  const outcome = new Outcome();
  acceptLink(accepted, {
    node: 'n1',
    secrets: () => [SECRET],
    ready: (_link, hello) => outcome.all.push(`ready ${JSON.stringify(hello)}`),
    failed: (reason) => outcome.all.push(reason),
    ...over,
  });
  return outcome;
}

export function dial({ dialled }: SocketPair, over: Partial<DialOptions> = {}): Outcome {
  const outcome = new Outcome();
  dialLink(dialled, {
    hello: HELLO,
    secret: SECRET,
    ready: (_link, node) => outcome.all.push(`ready ${node}`),
    failed: (reason) => outcome.all.push(reason),
    ...over,
  });
  return outcome;
}

export async function both(node: Partial<AcceptOptions>, linker: Partial<DialOptions>): Promise<{ node: string; linker: string }> {
  const sockets = await socketPair();
  const [accepting, dialling] = [accept(sockets, node), dial(sockets, linker)];
  return { node: await accepting.reason(), linker: await dialling.reason() };
}
