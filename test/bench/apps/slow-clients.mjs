/**
 * COUNT connections to PORT, each of which sends a head a line every five seconds, and comes again when it is closed; and WANTING clients of
 * an application that never answers.
 */
import { connect } from 'node:net';

const LINE_EVERY_MS = 5_000;
const FIRST_PORT = 2_000;
const { PORT, COUNT, SOURCE, WANTING, WANTED } = process.env;
let open = 0;
let told = false;

function begin(localPort) {
  // The kernel looks long for a free port of an address that has thousands of connections: that would slow this machine, not the node.
  const socket = connect({ port: Number(PORT), host: '127.0.0.1', localAddress: SOURCE, localPort });
  socket.once('connect', () => {
    open++;
    if (open >= Number(COUNT) * 0.95 && !told) {
      told = true;
      console.log('all there');
    }
    socket.write('GET / HTTP/1.1\r\nHost: good.test\r\n');
  });
  const drip = setInterval(() => socket.writable && socket.write('X-Slow: yes\r\n'), LINE_EVERY_MS);
  socket.on('error', () => {});
  socket.once('end', () => socket.destroy());
  socket.resume();
  socket.once('close', () => {
    open--;
    clearInterval(drip);
    setTimeout(begin, 100, localPort);
  });
}

for (let i = 0; i < Number(COUNT); i++) setTimeout(begin, (i / Number(COUNT)) * LINE_EVERY_MS, FIRST_PORT + i);

for (let i = 0; i < Number(WANTING); i++) {
  const socket = connect({ port: Number(PORT), host: '127.0.0.1', localAddress: SOURCE, localPort: FIRST_PORT + Number(COUNT) + i });
  socket.on('error', () => {});
  socket.resume();
  socket.write(`GET / HTTP/1.1\r\nHost: ${WANTED}\r\n\r\n`);
}
