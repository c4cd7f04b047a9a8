/** A linker as a process of its own: the node's port, then the application's command. */
import { Linker } from '../../../src/linker/linker.ts';
import { createLog } from '../../../src/log.ts';
import { SECRET } from '../harness/fake-node.ts';

const [port, ...command] = process.argv.slice(2);
const linker = new Linker({
  proxies: [{ host: '127.0.0.1', port: Number(port) }],
  route: 'app.example.com',
  concurrency: 4,
  secret: SECRET,
  command,
  env: { PATH: process.env.PATH },
  log: createLog('linker'),
});
process.on('SIGTERM', () => linker.drain());
process.exitCode = await linker.run();
