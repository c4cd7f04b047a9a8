/** Reads a request to its end and then says how many bytes its body had. */
import { createServer } from 'node:http';

createServer((request, response) => {
  let bytes = 0;
  request.on('data', (chunk) => {
    bytes += chunk.length;
  });
  request.on('end', () => response.end(`${bytes}\n`));
}).listen(Number(process.env.PORT), '127.0.0.1');
