/** A gRPC service of whole numbers, without a schema: each message is four bytes. */
import { Client, credentials, type MethodDefinition, Server, ServerCredentials, type UntypedServiceImplementation } from '@grpc/grpc-js';

const serialize = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const deserialize = (bytes: Buffer): number => bytes.readInt32BE();

function method(name: string, requestStream: boolean, responseStream: boolean): MethodDefinition<number, number> {
  const coding = {
    requestSerialize: serialize,
    requestDeserialize: deserialize,
    responseSerialize: serialize,
    responseDeserialize: deserialize,
  };
  return { path: `/numbers.Numbers/${name}`, requestStream, responseStream, ...coding };
}

export const NUMBERS = {
  unary: method('Unary', false, false),
  count: method('Count', false, true),
  sum: method('Sum', true, false),
  echo: method('Echo', true, true),
};

const clients = new Set<Client>();

/** A client that asks for `authority` at a port of this machine; by TLS where the certificate to expect is given. */
export function grpcClient(port: number, authority: string, certificate?: Buffer): Client {
  const channel = certificate === undefined ? credentials.createInsecure() : credentials.createSsl(certificate);
  const names = { 'grpc.default_authority': authority, 'grpc.ssl_target_name_override': authority };
  const client = new Client(`127.0.0.1:${port}`, channel, names);
  clients.add(client);
  return client;
}

/** The facts about a method that a client's calls need. */
export function callOf({ path }: MethodDefinition<number, number>): [string, typeof serialize, typeof deserialize] {
  return [path, serialize, deserialize];
}

const servers = new Set<Server>();

/** Listens at a free port, and returns it. */
export async function startGrpc(implementation: UntypedServiceImplementation): Promise<number> {
  const server = new Server();
  servers.add(server);
  server.addService(NUMBERS, implementation);
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)));
  });
}

/** For `afterEach`. */
export function closeGrpc(): void {
  for (const client of clients) client.close();
  for (const server of servers) server.forceShutdown();
  clients.clear();
  servers.clear();
}
