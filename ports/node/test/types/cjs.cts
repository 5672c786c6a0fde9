// SPDX-License-Identifier: MIT
// The same interface from CommonJS.
import goipc = require('goipc');

const server: goipc.Server = goipc.createServer((connection) => {
  connection.on('message', ({ type, data }) => void connection.send(type, data));
});
void server.listen('demo');
void goipc.connect('demo').then((connection: goipc.Connection) => connection.destroy());
const failed: goipc.GoipcError = new goipc.ClosedError('closed');
const failedClass: goipc.ErrorClass = failed.errorClass;
console.log(failedClass);
