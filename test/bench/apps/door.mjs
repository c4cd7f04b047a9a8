/** A way to the backend port TARGET that lets relaying nodes pass and closes on linkers, as a firewall between networks would. */
import { connect, createServer } from 'node:net';

createServer({ noDelay: true }, (near) => {
  near.on('error', () => {});
  near.once('data', (hello) => {
    if (!hello.includes('"relay":true')) {
      near.destroy();
      return;
    }
    const far = connect({ port: Number(process.env.TARGET), host: '127.0.0.1', noDelay: true });
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
    far.write(hello);
    near.pipe(far).pipe(near);
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
