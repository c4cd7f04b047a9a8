import { afterEach, describe, expect, test } from '@jest/globals';
import { Flag, Frame, ResetCode } from '../../../src/link/frames.ts';
import { WINDOW_BYTES } from '../../../src/link/stream.ts';
import { lent, linkPair, type OpenedStream, opened, quiet, Recorder } from '../../support/harness/link-pair.ts';
import { destroySockets, EMPTY, until } from '../../support/harness/link-wire.ts';

afterEach(destroySockets);

describe('slots', () => {
  test('are lent, used, idle again after DONE with KEEP, and returned', async () => {
    const { node, linker } = await lent(2);
    const stream = node.link.open(new Recorder(), Flag.CAREFUL, Buffer.from('first bytes'));
    expect([node.link.idle, node.link.active]).toEqual([1, 1]);
    const far = await opened(linker);
    expect(far.flags).toBe(Flag.CAREFUL);
    expect(Buffer.concat(far.handler.chunks).toString()).toBe('first bytes');
    node.link.doneAndKeep(stream);
    expect([node.link.idle, node.link.active]).toEqual([2, 0]);
    node.link.giveBack(5);
    await until(() => linker.returned === 2);
    expect(linker.done).toEqual([{ stream: far.stream, how: 'keep' }]);
    expect([linker.link.lent, linker.link.streams.size, node.link.idle]).toEqual([0, 0, 0]);
  });

  test('are in use until the linker has closed the application connection when it is not to be kept', async () => {
    const { node, linker } = await lent(1);
    const handler = new Recorder();
    node.link.doneAndClose(node.link.open(handler, Flag.NONE, EMPTY));
    await until(() => linker.done.length === 1);
    expect([node.link.idle, node.link.active]).toEqual([0, 1]);
    linker.link.free((await opened(linker)).stream, ResetCode.CLOSED, true, false);
    await until(() => node.link.idle === 1);
    // This side ended it: no further word.
    expect(handler.resets).toEqual([]);
  });

  test('are not idle again before what was written has gone out, even if the response is complete', async () => {
    const { node, linker } = await lent(1);
    const stream = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    stream.write(Buffer.alloc(WINDOW_BYTES + 1));
    node.link.doneAndKeep(stream);
    expect([node.link.idle, node.link.active]).toEqual([0, 1]);
    await until(() => linker.done.length === 1);
    expect(linker.done[0]?.how).toBe('close');
  });

  test('are idle at once when the application said more than the node took, and the linker hears of that', async () => {
    const { node, linker } = await lent(2);
    const handler = new Recorder();
    const stream = node.link.open(handler, Flag.NONE, EMPTY);
    const kept = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    await opened(linker, 2);
    const [far, other] = linker.opened as [OpenedStream, OpenedStream];
    handler.onData = () => {
      node.link.doneAndKeep(stream);
      return 'borrowed';
    };
    far.stream.write(Buffer.from('an answer'));
    // Between them, so that they do not make one frame.
    other.stream.write(Buffer.from('an answer'));
    far.stream.write(Buffer.from('and more'));
    await until(() => node.link.idle === 1);
    node.link.doneAndKeep(kept);
    await until(() => linker.done.length === 2);
    expect(linker.done).toEqual([
      { stream: far.stream, how: 'discard' },
      { stream: other.stream, how: 'keep' },
    ]);
    expect(linker.link.streams.size).toBe(0);
  });

  test('of a node that does not say what it took are kept as before', async () => {
    const { node, linker } = await lent(1);
    const stream = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    const far = await opened(linker);
    far.stream.write(Buffer.from('an answer'));
    node.link.link.writer.frame(Frame.DONE, Flag.KEEP, stream.id, null);
    await until(() => linker.done.length === 1);
    expect(linker.done[0]?.how).toBe('keep');
  });

  test('go to the oldest: a stream that the application refused reports itself before its slot is offered', async () => {
    const order: string[] = [];
    const { node, linker } = await linkPair({ node: { idle: () => order.push('slot idle') } });
    linker.link.grant(1);
    await until(() => node.link.idle === 1);
    const handler = new Recorder();
    handler.onReset = (code, reached, reused) => order.push(`reset ${code} ${reached} ${reused}`);
    node.link.open(handler, Flag.NONE, EMPTY);
    linker.link.free((await opened(linker)).stream, ResetCode.APP_REFUSED, false, true);
    await until(() => node.link.idle === 1);
    expect(order).toEqual(['slot idle', `reset ${ResetCode.APP_REFUSED} false true`, 'slot idle']);
  });

  test('that are refused while their stream is being opened cost nothing but that stream', async () => {
    const { node, linker } = await linkPair({
      linker: { opened: (stream) => linker.link.free(stream, ResetCode.APP_REFUSED, false, false) },
    });
    linker.link.grant(1);
    await until(() => node.link.idle === 1);
    const handler = new Recorder();
    node.link.open(handler, Flag.NONE, Buffer.from('first bytes'));
    await until(() => handler.resets.length === 1);
    expect(handler.resets).toEqual([{ code: ResetCode.APP_REFUSED, reached: false, reused: false }]);
    await quiet(node, linker);
    expect([node.link.idle, linker.link.lent]).toEqual([1, 1]);
    expect([...node.downs, ...linker.downs]).toEqual([]);
  });

  test('in use are paid back as their streams end, when they were recalled', async () => {
    const { node, linker } = await lent(3);
    const streams = [0, 1].map(() => node.link.open(new Recorder(), Flag.NONE, EMPTY));
    linker.link.recall(3);
    await until(() => linker.returned === 1);
    expect(node.said).toEqual(['recalled 2']);
    node.link.doneAndKeep(streams[0] as (typeof streams)[0]);
    await until(() => linker.returned === 2);
    linker.link.free((await opened(linker, 2)).stream, ResetCode.APP_CLOSED, true, false);
    await until(() => linker.returned === 3);
    expect([node.link.idle, node.link.active, linker.link.lent]).toEqual([0, 0, 0]);
    // A debt that is paid is not paid again.
    linker.link.grant(1);
    await quiet(node, linker);
    expect(node.link.idle).toBe(1);
  });

  test('that are recalled beyond what was lent leave no debt', async () => {
    const { node, linker } = await lent(2);
    linker.link.recall(0xffffffff);
    await until(() => linker.returned === 2);
    linker.link.grant(2);
    await quiet(node, linker);
    node.link.doneAndKeep(node.link.open(new Recorder(), Flag.NONE, EMPTY));
    expect(node.link.idle).toBe(2);
  });

  test('move with the address of the node that wants them, and come back when it can not be reached', async () => {
    const { node, linker } = await lent(3);
    node.link.move(2, '[::1]:7000');
    await until(() => linker.said.length === 1);
    expect(linker.said).toEqual(['move 2 to [::1]:7000']);
    expect([node.link.idle, linker.link.lent]).toEqual([1, 1]);
    linker.link.moveFailed(2, '[::1]:7000');
    linker.link.grant(2);
    await until(() => node.link.idle === 3);
    expect(node.said).toEqual(['move of 2 to [::1]:7000 failed']);
    expect(() => node.link.move(4, 'a:1')).toThrow("can't move 4 of 3");
    expect(() => node.link.move(0, 'a:1')).toThrow("can't move 0 of 3");
  });

  test('go back when the node leaves: idle ones at once, those in use as their streams end, those on their way when they come', async () => {
    const { node, linker } = await lent(3);
    const stream = node.link.open(new Recorder(), Flag.NONE, EMPTY);
    node.link.goAway();
    linker.link.grant(1);
    await until(() => linker.returned >= 2);
    expect(linker.returned).toBe(2);
    await until(() => linker.returned === 3);
    expect(linker.said).toEqual(['go away']);
    node.link.doneAndKeep(stream);
    await until(() => linker.returned === 4);
    expect([node.link.idle, linker.link.lent]).toEqual([0, 0]);
  });

  test('still serve who is held here while the node leaves', async () => {
    let held = 1;
    const serve = (): void => {
      if (held > 0 && node.link.idle > 0) node.link.open(new Recorder(), Flag.NONE, EMPTY);
      held = 0;
    };
    const { node, linker } = await linkPair({ node: { idle: () => serve() } });
    node.link.goAway();
    linker.link.grant(2);
    await until(() => linker.returned === 1);
    expect([node.link.active, linker.link.lent]).toEqual([1, 1]);
  });

  test('of a linker that may serve no longer serve nobody, also when the node leaves, which is said once', async () => {
    let asked = 0;
    const { node, linker } = await linkPair({ node: { idle: () => asked++ } });
    node.link.dismiss();
    node.link.goAway();
    node.link.goAway();
    linker.link.grant(2);
    await until(() => linker.returned === 2);
    await quiet(node, linker);
    expect(asked).toBe(0);
    expect(linker.said.filter((word) => word.startsWith('go away'))).toHaveLength(1);
  });

  test('can not be used without being there', async () => {
    const { node } = await lent(1);
    node.link.open(new Recorder(), Flag.NONE, EMPTY);
    expect(() => node.link.open(new Recorder(), Flag.NONE, EMPTY)).toThrow('no idle slot on this link');
  });
});
