/** A WebSocket application that can stand LIMIT connections at once and sends back what it is sent. */
import { WebSocketServer } from 'ws';
import { Ledger } from './ledger.mjs';

const ledger = new Ledger();
const server = new WebSocketServer({ port: Number(process.env.PORT), host: '127.0.0.1' });

server.on('listening', () => console.log(`listening at ${server.address().port}`));
server.on('connection', (socket, request) => {
  socket.once('close', () => ledger.leave());
  if (!ledger.enter(request.url)) return socket.close(1013, 'too much at once');
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});

process.once('SIGTERM', () => {
  for (const socket of server.clients) socket.close(1001);
  server.close(() => process.exit(0));
});
