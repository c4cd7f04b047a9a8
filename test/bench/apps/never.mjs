/** An application that takes requests and never answers. */
import { createServer } from 'node:net';

createServer((socket) => socket.on('error', () => {}).resume()).listen(Number(process.env.PORT), '127.0.0.1');
