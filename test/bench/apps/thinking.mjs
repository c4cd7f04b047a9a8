/** Answers after THINK_MS. */
import { createServer } from 'node:http';

const server = createServer({ keepAliveTimeout: 600_000 }, (_request, response) => {
  setTimeout(() => response.end('thought\n'), Number(process.env.THINK_MS));
});
server.listen(Number(process.env.PORT), '127.0.0.1');
