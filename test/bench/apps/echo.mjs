/** Says back what it is told: bytes by TCP, or messages where a client asks for a WebSocket with MODE=websocket. */
import { createServer } from 'node:net';
import { WebSocketServer } from 'ws';

const port = Number(process.env.PORT);
if (process.env.MODE === 'websocket') {
  const server = new WebSocketServer({ port, host: '127.0.0.1', perMessageDeflate: false });
  server.on('connection', (socket) => socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary })));
} else {
  createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => socket.write(chunk));
  }).listen(port, '127.0.0.1');
}
