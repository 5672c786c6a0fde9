// SPDX-License-Identifier: MIT
// What the tests share: names, raw peers that speak the protocol as badly as wanted, and what is left open.
'use strict';

const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const crypto = require('../src/crypto');
const { plainFrame, u32 } = require('../src/codec');

const WINDOWS = process.platform === 'win32';
let names = 0;

/** A name that no other test uses. */
function freshName() {
  names += 1;
  return `node-test-${process.pid}-${names}`;
}

/** A directory that goes with the test. */
function freshDirectory(t) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'goipc-'));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const pathOf = (name) => (WINDOWS ? `\\\\.\\pipe\\${name}` : `/tmp/${name}.sock`);

/** The settled state of a promise: { value } or { error }. */
const outcomeOf = (promise) => promise.then((value) => ({ value }), (error) => ({ error }));

/** Resolves when `condition()` holds, asked in every turn of the event loop. The test's own limit ends it. */
async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** How many sockets, listeners and timers this process has open. */
function openHandles() {
  return process.getActiveResourcesInfo().filter((one) => /Pipe|Timeout|Immediate|FSReq/.test(one)).length;
}

/** Waits until no more is open than before; the test fails by its own limit when something stays. */
const nothingLeft = (before) => until(() => openHandles() <= before);

/**
 * A server that speaks as it is told: `speak(socket, bytes)` is called with each connection, where
 * `bytes(count)` gives the next bytes of the client, or null at the end of the stream.
 */
async function rawServer(t, name, speak) {
  const sockets = [];
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    speak(socket, reader(socket));
  });
  server.listen(pathOf(name));
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { sockets, close: () => server.close() };
}

/** A client that speaks as it is told: its socket, and `bytes(count)` as above. */
async function rawClient(t, name) {
  const socket = net.connect({ path: pathOf(name), allowHalfOpen: true });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return { socket, bytes: reader(socket) };
}

function reader(socket) {
  let here = Buffer.alloc(0);
  let ended = false;
  let wake = () => {};
  socket.on('data', (chunk) => {
    here = Buffer.concat([here, chunk]);
    wake();
  });
  for (const end of ['end', 'close']) {
    socket.on(end, () => {
      ended = true;
      wake();
    });
  }
  return async (count) => {
    while (here.length < count && !ended) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
    if (here.length < count) return null;
    const taken = here.subarray(0, count);
    here = here.subarray(count);
    return taken;
  };
}

/** Does the server's part of a plain handshake. */
async function plainHandshake(socket, bytes, limit = 3145728) {
  socket.write(Buffer.from([2, 0]));
  await bytes(1);
  socket.write(Buffer.concat([u32(4), u32(limit)]));
  await bytes(1);
}

/** Does the server's part of an encrypted handshake; returns what seals its next frame. */
async function sealedHandshake(socket, bytes, limit = 3145728) {
  socket.write(Buffer.from([2, 1]));
  await bytes(1);
  const pair = new crypto.KeyPair(crypto.systemRandom);
  socket.write(pair.public);
  const key = crypto.deriveKey(pair.agree(await bytes(97)));
  const nonces = new crypto.CounterNonces(crypto.systemRandom, true);
  const seal = (type, data) => Buffer.concat(crypto.sealFrame(key, nonces.next(), type, data));
  socket.write(seal(limit, Buffer.alloc(0)));
  await bytes(1);
  return seal;
}

const frame = (type, data) => Buffer.concat(plainFrame(type, Buffer.from(data)));

module.exports = {
  WINDOWS,
  frame,
  freshDirectory,
  freshName,
  nothingLeft,
  openHandles,
  outcomeOf,
  pathOf,
  plainHandshake,
  rawClient,
  rawServer,
  sealedHandshake,
  until,
};
