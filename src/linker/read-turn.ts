/**
 * Whether bytes that are read now were in the kernel when this turn of the event loop began to read. In one turn libuv reads what one
 * call of epoll_wait reported, and so nothing that arrived meanwhile.
 */

/** libuv asks epoll again in the same turn after so many events (uv__io_poll). With half as many reads nothing is certain any more. */
const CERTAIN_READS_MAX = 512;

let turn = 0;
let reads = 0;
let isMarked = false;

const endTurn = (): void => {
  turn++;
  reads = 0;
  isMarked = false;
};

/** The turn that reads now. Two equal numbers are the same turn. */
export function readTurn(): number {
  if (!isMarked) {
    isMarked = true;
    setImmediate(endTurn);
  }
  return turn;
}

/** Call it for each read: true when the bytes had come before anything that was written since the turn `since`. */
export function cameBefore(since: number): boolean {
  reads++;
  return isMarked && since === turn && reads < CERTAIN_READS_MAX;
}
