/** COUNT connections to PORT, each of which sends a head a line every five seconds, and comes again when it is closed. */
import { connect } from 'node:net';

const LINE_EVERY_MS = 5_000;
const { PORT, COUNT, SOURCE } = process.env;
let open = 0;
let told = false;

function begin() {
  const socket = connect({ port: Number(PORT), host: '127.0.0.1', localAddress: SOURCE });
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
    setTimeout(begin, 100);
  });
}

for (let i = 0; i < Number(COUNT); i++) setTimeout(begin, (i / Number(COUNT)) * LINE_EVERY_MS);
