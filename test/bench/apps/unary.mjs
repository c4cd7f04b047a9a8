/** A gRPC service without a schema: one method, which sends back the bytes that it gets. */
import { Server, ServerCredentials } from '@grpc/grpc-js';

const asItIs = (bytes) => bytes;
const path = '/bench.Bench/Echo';
const coding = { requestSerialize: asItIs, requestDeserialize: asItIs, responseSerialize: asItIs, responseDeserialize: asItIs };
const server = new Server();
server.addService(
  { echo: { path, requestStream: false, responseStream: false, ...coding } },
  { echo: (call, done) => done(null, call.request) },
);
server.bindAsync(`127.0.0.1:${process.env.PORT}`, ServerCredentials.createInsecure(), () => {});
