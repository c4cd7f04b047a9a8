/** The notes of the applications under test: that they started, and each time they were given more than LIMIT at once. */
import { appendFileSync } from 'node:fs';

const { STARTS_FILE, VIOLATIONS_FILE } = process.env;
const limit = Number(process.env.LIMIT ?? Number.POSITIVE_INFINITY);

export class Ledger {
  limit = limit;
  active = 0;
  max = 0;
  total = 0;
  violations = 0;

  constructor() {
    const line = { pid: process.pid, startId: process.env.PULLPROXY_START_ID ?? null, at: new Date().toISOString() };
    if (STARTS_FILE) appendFileSync(STARTS_FILE, `${JSON.stringify(line)}\n`);
  }

  /** One more at once. False when that is too many. Each enter is followed by one leave. */
  enter(what) {
    this.active++;
    this.total++;
    this.max = Math.max(this.max, this.active);
    if (this.active <= this.limit) return true;
    this.violations++;
    const line = JSON.stringify({ pid: process.pid, active: this.active, limit: this.limit, what });
    if (VIOLATIONS_FILE) appendFileSync(VIOLATIONS_FILE, `${line}\n`);
    console.error(`too much at once: ${line}`);
    return false;
  }

  leave() {
    this.active--;
  }
}
