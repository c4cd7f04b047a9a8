// The application that the conformance kit asks for, for the linker of pullproxy itself.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

// For agents: an instance that fails.
if (process.env.KEY === 'fails') process.exit(3);

let running = 0;
let most = 0;

createServer(async (request, response) => {
  most = Math.max(most, ++running);
  // Node's server closes the connection of a client that leaves: from then on the application has given the request up, as far as others can see.
  response.on('close', () => running--);
  const [, what, count] = request.url.split('/');
  if (what === 'hello') response.end('hello');
  else if (what === 'bytes') response.end(Buffer.alloc(Number(count), 'x'));
  else if (what === 'most') response.end(String(most));
  else if (what === 'wait') {
    await sleep(Number(count));
    response.end('waited');
  } else if (what === 'echo') {
    const parts = await Array.fromAsync(request).catch(() => []);
    response.end(Buffer.concat(parts));
  }
}).listen(Number(process.env.PORT), '127.0.0.1');
