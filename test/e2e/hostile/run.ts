/**
 * Plays hostile input through nginx, HAProxy and pullproxy and writes what came of it into README.md beside this file:
 *
 *     npm run hostile
 *
 * Exit code 1 when pullproxy does something else than is expected.
 */
import { writeFileSync } from 'node:fs';
import { Proxies, versions } from './proxies.ts';
import { RecordingApp } from './recording-app.ts';
import { markdown, playAll } from './table.ts';

const app = await RecordingApp.listen();
const proxies = new Proxies();
let wrong = 0;
try {
  await proxies.start(app.port, ['nginx', 'HAProxy', 'pullproxy']);
  const sections = await playAll(proxies.all, app, (line) => console.error(line));
  writeFileSync(new URL('./README.md', import.meta.url), markdown(sections, versions()));
  for (const { rows } of sections) {
    for (const { what, expected, outcomes } of rows) {
      if (outcomes.get('pullproxy') === expected) continue;
      wrong++;
      console.error(`${what}: expected ${expected}, was ${outcomes.get('pullproxy')}`);
    }
  }
} finally {
  await proxies.stop();
}
process.exit(wrong === 0 ? 0 : 1);
