// SPDX-License-Identifier: MIT
// Sends one message and prints the answer: node echo_client.mjs [NAME] [TEXT]
import { connect } from 'goipc';

const [name = 'demo', text = 'hello'] = process.argv.slice(2);
const connection = await connect(name);
await connection.send(1, text);
const answer = await connection.receive({ timeoutMs: 5000 });
console.log(answer.data.toString());
await connection.close();
