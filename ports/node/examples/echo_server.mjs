// SPDX-License-Identifier: MIT
// Sends every message back: node echo_server.mjs [NAME]
import { createServer } from 'goipc';

const server = createServer(async (connection) => {
  for await (const { type, data } of connection) await connection.send(type, data);
});
server.on('clientError', (error) => console.error(error.message));
await server.listen(process.argv[2] ?? 'demo');
console.log(`listening at ${server.path}`);
