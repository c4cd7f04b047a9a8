/** Accepts DELAY_MS after its start. */
import { createServer } from 'node:http';

const server = createServer((_request, response) => response.end('ok'));
setTimeout(() => server.listen(Number(process.env.PORT), '127.0.0.1'), Number(process.env.DELAY_MS ?? 0));
process.once('SIGTERM', () => process.exit(0));
