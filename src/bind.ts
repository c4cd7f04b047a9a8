import type { ListenOptions, Server } from 'node:net';

/** Resolves when the server listens. @throws as Node does when it can't: the port is taken, the address is not of this machine, it is not allowed. */
export async function bind(server: Server, options: ListenOptions): Promise<{ readonly host: string; readonly port: number }> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no address bound');
  return { host: address.address, port: address.port };
}
