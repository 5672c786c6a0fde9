// SPDX-License-Identifier: MIT
// What the main process of an Electron program does, in CommonJS and with events: it stays connected to a
// Go program, prints what that sends, and sends each line of its own input: node gui_client.cjs [NAME]
'use strict';

const readline = require('node:readline');
const { connect } = require('goipc');

async function main(name = 'demo') {
  const connection = await connect(name, { reconnect: true, timeoutMs: Infinity });
  console.log('connected');
  connection.on('message', ({ type, data }) => console.log(`${type}: ${data}`));
  connection.on('status', (status, error) => console.log(status, error?.message ?? ''));
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', (line) => connection.send(1, line).catch((error) => console.error(error.message)));
  lines.on('close', () => connection.close());
}

main(process.argv[2]).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
