/** A proxy as it is usually written in Node: `node:http` in front, undici behind. */
import { createServer } from 'node:http';
import { Agent } from 'undici';

const agent = new Agent({ connections: 50 });
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding']);

createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !HOP_BY_HOP.has(name)));
  headers['x-forwarded-for'] = request.socket.remoteAddress;
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  const options = { origin: process.env.TARGET, path: request.url, method: request.method, headers, body: hasBody ? request : null };
  agent
    .stream(options, ({ statusCode, headers: answered }) => {
      for (const name of HOP_BY_HOP) delete answered[name];
      response.writeHead(statusCode, answered);
      return response;
    })
    .catch(() => response.destroy());
}).listen(Number(process.env.PORT), '127.0.0.1');
