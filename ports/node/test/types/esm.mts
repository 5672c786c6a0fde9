// SPDX-License-Identifier: MIT
// A program in TypeScript that uses every part of the interface, as an ES module. It is checked, not run.
import { connect, createServer, EndpointError, GoipcError, TimeoutError, type Connection, type Message } from 'goipc';

const server = createServer({ encryption: 'on', clientsMax: 4, socketMode: 0o660 }, async (connection) => {
  for await (const { type, data } of connection) await connection.send(type, data);
});
server.on('clientError', (error: GoipcError, connection: Connection | null) => console.log(error.code, connection));
await server.listen('demo');
const path: string | null = server.path;

const aborting = new AbortController();
const connection = await connect('demo', { reconnect: true, timeoutMs: Infinity, signal: aborting.signal });
connection.on('message', ({ type, data }: Message) => console.log(type, data.toString('utf8')));
connection.on('status', (status, error) => console.log(status, error?.errorClass));
connection.once('close', (error) => console.log(error?.message, path));
await connection.send(1, 'text');
await connection.send(2, new Uint8Array(3), { signal: aborting.signal });
await connection.send(3);
const answer: Message = await connection.receive({ timeoutMs: 100 });
console.log(answer.data.length, connection.status === 'closed', [...server.connections].length);
try {
  await connection.close();
} catch (error) {
  if (error instanceof EndpointError) console.log(error.reason === 'in-use');
  if (error instanceof TimeoutError) console.log(error.cause);
}

// @ts-expect-error a number is no data
await connection.send(1, 5);
// @ts-expect-error there is no such setting
await connect('demo', { encryption: 'on' });
// @ts-expect-error there is no such option
createServer({ reconnect: true }, () => {});
// @ts-expect-error a message cannot be changed
answer.type = 7;
