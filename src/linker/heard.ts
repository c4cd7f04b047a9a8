/**
 * The order of what the application says, over all of its connections and the control socket: its last word about the limit counts, and
 * nodes tell of some words later than others.
 */
let last = 0;

/** The application has said something now. */
export function hear(): number {
  return ++last;
}
