/**
 * Errors that reached a boundary, or the top of this process: none of them was meant, whatever the process did with it afterwards.
 */
import { internalErrorCounts, reportInternalErrors } from '../../src/boundary.ts';

const escaped: unknown[] = [];
let counted = 0;

/** From now on they are noted instead of ending the process. */
export function noteEscaped(): void {
  process.on('uncaughtException', (error) => escaped.push(error));
  process.on('unhandledRejection', (reason) => escaped.push(reason));
  reportInternalErrors({ error: ((line: { where: string; err: object }) => void escaped.push(asError(line))) as never }, (error) =>
    escaped.push(error),
  );
}

/** @throws the first one since the last call. */
export function throwEscaped(): void {
  const sum = Object.values(internalErrorCounts()).reduce((all, count) => all + count, 0);
  const more = sum - counted;
  counted = sum;
  const [first] = escaped.splice(0);
  if (first !== undefined) throw first;
  // An error that comes again and again is not logged each time.
  if (more > 0) throw new Error('an internal error');
}

function asError({ where, err }: { where: string; err: object }): Error {
  const error = new Error(where);
  return Object.assign(error, err, { name: `internal error at ${where}` });
}
