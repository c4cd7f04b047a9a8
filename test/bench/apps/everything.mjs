/**
 * An application that does what applications do: small answers and large ones (`/1m`), bodies that it reads to their end, answers that
 * begin and never end (`/slow`), and WebSockets that echo. SIGUSR2 closes the connections on which nothing is under way.
 */
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const LARGE = Buffer.alloc(1_048_576, 'x');

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  if (request.method === 'POST') {
    let bytes = 0;
    request.on('data', (chunk) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.end(String(bytes)));
  } else if (request.url === '/slow') {
    response.write('it begins');
  } else {
    response.end(request.url === '/1m' ? LARGE : request.headers['x-request-id']);
  }
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on('connection', (socket) => socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary })));
process.on('SIGUSR2', () => server.closeIdleConnections());
server.listen(Number(process.env.PORT), '127.0.0.1');
