// SPDX-License-Identifier: MIT
// What goes wrong: one error with cause and remedy, and nothing left open.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const fsPromises = require('node:fs/promises');
const { test } = require('node:test');
const goipc = require('../src');
const { KeyPair, systemRandom } = require('../src/crypto');
const { u32 } = require('../src/codec');
const support = require('./support');

const LIMIT = { timeout: 60000 };
const UNIX_ONLY = { ...LIMIT, skip: support.WINDOWS };
const garbage = Buffer.alloc(64, 0xff);

/** Every error is a GoipcError whose text is a cause and a remedy: two sentences at least. */
function checkError(error, errorClass) {
  assert.ok(error instanceof goipc.GoipcError, String(error));
  assert.equal(error.errorClass, errorClass, error.message);
  assert.equal(error.code, `ERR_GOIPC_${errorClass.toUpperCase().replace('-', '_')}`);
  assert.match(error.message, /^.+[.;:] .+\.$/);
}

// A bad server: [what it does, how the handshake of the client fails, what the client replies].
const BAD_SERVERS = [
  ['ends at once', 'timeout', (socket) => socket.end()],
  ['ends in HELLO', 'closed', (socket) => socket.end(Buffer.from([2]))],
  ['says nothing', 'timeout', () => {}],
  ['has version 1', 'version', (socket) => socket.write(Buffer.from([1, 1])), 1],
  ['has version 3 and ends', 'version', (socket) => socket.end(Buffer.from([3, 0])), 1],
  ['has no encryption', 'encryption', (socket) => socket.write(Buffer.from([2, 0])), 2],
  ['has an unknown flag', 'encryption', (socket) => socket.write(Buffer.from([2, 2])), 2],
  ['has a bad key', 'key', (socket) => socket.write(Buffer.concat([Buffer.from([2, 1, 4]), Buffer.alloc(96, 1)])), 0],
  [
    'sends a LIMIT that does not open',
    'auth',
    (socket) => socket.write(Buffer.concat([Buffer.from([2, 1]), new KeyPair(systemRandom).public, u32(32), Buffer.alloc(32)])),
    0,
  ],
  [
    'sends a LIMIT of a wrong length',
    'framing',
    (socket) => socket.write(Buffer.concat([Buffer.from([2, 1]), new KeyPair(systemRandom).public, u32(33)])),
    0,
  ],
];

for (const [what, errorClass, speak, reply] of BAD_SERVERS) {
  test(`a server that ${what}`, LIMIT, async (t) => {
    const before = support.openHandles();
    const name = support.freshName();
    let left;
    const server = await support.rawServer(t, name, (socket, bytes) => {
      speak(socket, bytes);
      left = (async () => {
        const first = reply === undefined ? null : await bytes(1);
        while ((await bytes(1)) !== null);
        socket.destroy();
        return first?.[0];
      })();
    });
    const timeoutMs = errorClass === 'timeout' ? 50 : 30000;
    const { error } = await support.outcomeOf(goipc.connect(name, { timeoutMs }));
    checkError(error, errorClass);
    assert.equal(await left, reply);
    server.close();
    for (const socket of server.sockets) socket.destroy();
    await support.nothingLeft(before);
  });
}

// A bad server after the handshake: [what it sends, how the connection fails], plain and encrypted.
const BAD_FRAMES = [
  ['a frame that is too short', 'framing', u32(3)],
  ['a frame that is too large', 'too-large', u32(3145728 + 33)],
  ['a part of a frame, and ends', 'framing', u32(40), true],
  ['a frame that does not open', 'auth', Buffer.concat([u32(40), Buffer.alloc(40)])],
];

for (const [what, errorClass, bytesSent, ends] of BAD_FRAMES) {
  for (const receives of ['loop', 'listener']) {
    test(`a server that sends ${what}, to a ${receives}`, LIMIT, async (t) => {
      const before = support.openHandles();
      const name = support.freshName();
      const ended = [];
      const server = await support.rawServer(t, name, async (socket, bytes) => {
        const seal = await support.sealedHandshake(socket, bytes);
        socket.write(Buffer.concat([seal(9, Buffer.from('before')), bytesSent]));
        if (ends) socket.end();
        ended.push(await bytes(1));
        socket.destroy();
      });
      const connection = await goipc.connect(name);
      const told = once(connection, 'close');
      const got = [];
      if (receives === 'listener') {
        connection.on('message', ({ data }) => got.push(data.toString()));
      } else {
        const { error } = await support.outcomeOf(
          (async () => {
            for await (const { data } of connection) got.push(data.toString());
          })(),
        );
        checkError(error, errorClass);
        await assert.rejects(connection.receive(), goipc.ClosedError);
      }
      const [error] = await told;
      checkError(error, errorClass);
      assert.deepEqual(got, ['before']);
      await assert.rejects(connection.send(1), goipc.ClosedError);
      await support.until(() => ended.length === 1);
      assert.deepEqual(ended, [null]);
      server.close();
      await support.nothingLeft(before);
    });
  }
}

test('what has arrived is delivered although sending fails', UNIX_ONLY, async (t) => {
  const name = support.freshName();
  await support.rawServer(t, name, async (socket, bytes) => {
    await support.plainHandshake(socket, bytes);
    await bytes(9); // the client has a frame under way
    socket.write(Buffer.concat([support.frame(1, 'first'), support.frame(2, Buffer.alloc(100000))]));
    socket.destroySoon();
  });
  const connection = await goipc.connect(name, { encryption: 'off' });
  const sending = connection.send(1, Buffer.alloc(3000000)); // the server goes in the middle of it
  const got = [];
  for await (const { type, data } of connection) got.push([type, data.length]);
  assert.deepEqual(got, [[1, 5], [2, 100000]]);
  await support.outcomeOf(sending);
});

// A bad client: [what it does, how its connection fails for the server].
const BAD_CLIENTS = [
  ['ends at once', 'closed', (socket) => socket.end()],
  ['refuses the version', 'version', (socket) => socket.write(Buffer.from([1]))],
  ['refuses encryption', 'encryption', (socket) => socket.write(Buffer.from([2]))],
  ['replies garbage', 'other', (socket) => socket.write(garbage)],
  ['sends a bad key', 'key', (socket) => socket.write(Buffer.concat([Buffer.from([0, 4]), Buffer.alloc(96, 1)]))],
  ['says nothing', 'timeout', () => {}],
];

for (const [what, errorClass, speak] of BAD_CLIENTS) {
  test(`a client that ${what} fails alone`, LIMIT, async (t) => {
    const before = support.openHandles();
    const name = support.freshName();
    const server = goipc.createServer({ handshakeTimeoutMs: errorClass === 'timeout' ? 1000 : 30000 }, async (connection) => {
      for await (const { type, data } of connection) await connection.send(type, data);
    });
    await server.listen(name);
    const good = await goipc.connect(name);
    const errors = [];
    server.on('clientError', (error, connection) => errors.push([error, connection]));
    const { socket, bytes } = await support.rawClient(t, name);
    assert.deepEqual(await bytes(2), Buffer.from([2, 1]));
    speak(socket);
    while ((await bytes(1)) !== null);
    await support.until(() => errors.length > 0);
    await good.send(1, 'still here');
    assert.equal((await good.receive()).data.toString(), 'still here');
    assert.equal(errors.length, 1);
    checkError(errors[0][0], errorClass);
    assert.equal(errors[0][1], null);
    socket.destroy();
    await good.close();
    await server.close();
    await support.nothingLeft(before);
  });
}

test('a server that is missing', LIMIT, async () => {
  const before = support.openHandles();
  const { error } = await support.outcomeOf(goipc.connect(support.freshName(), { timeoutMs: 30 }));
  checkError(error, 'timeout');
  if (!support.WINDOWS) assert.match(error.message, /no server has made it. Start the server/);
  checkError(error.cause, 'other');
  assert.equal(error.cause.cause.code, 'ENOENT');
  await support.nothingLeft(before);
});

test('encryption that does not suit', LIMIT, async () => {
  const before = support.openHandles();
  for (const [server, client] of [['on', 'off'], ['off', 'required']]) {
    const name = support.freshName();
    const listening = goipc.createServer({ encryption: server }, () => assert.fail('connected'));
    await listening.listen(name);
    const told = once(listening, 'clientError');
    const { error } = await support.outcomeOf(goipc.connect(name, { encryption: client }));
    checkError(error, 'encryption');
    checkError((await told)[0], 'encryption');
    await listening.close();
  }
  await support.nothingLeft(before);
});

test('names that cannot be used', LIMIT, async () => {
  const long = 'x'.repeat(300);
  for (const name of ['', 'a/b', 'a\0b', '\ud800', long, undefined, 7, ...(support.WINDOWS ? ['a\\b'] : [])]) {
    const refused = [goipc.connect(name), goipc.createServer(() => {}).listen(name)];
    for (const { error } of await Promise.all(refused.map(support.outcomeOf))) {
      checkError(error, 'other');
      assert.equal(error.reason, 'name');
    }
  }
});

test('the longest name, in a directory as long as can be', UNIX_ONLY, async (t) => {
  const directory = support.freshDirectory(t);
  const size = process.platform === 'linux' ? 107 : 103;
  const deep = `${directory}/${'d'.repeat(size - directory.length - '/'.length - '/n.sock'.length)}`;
  fs.mkdirSync(deep);
  for (const [where, name] of [[directory, 'n'.repeat(size - directory.length - '/.sock'.length)], [deep, 'n']]) {
    const options = { directory: where };
    const server = goipc.createServer(options, (connection) => connection.send(1, 'x'));
    await server.listen(name);
    assert.equal(server.path.length, size);
    const connection = await goipc.connect(name, options);
    assert.equal((await connection.receive()).type, 1);
    await connection.close();
    await server.close();
    assert.deepEqual(fs.readdirSync(where).filter((one) => /sock|goipc/.test(one)), []);
    await assert.rejects(goipc.connect(`${name}n`, options), { reason: 'name' });
  }
});

test('a socket has its mode, and a name is taken and given back', UNIX_ONLY, async (t) => {
  const directory = support.freshDirectory(t);
  const path = `${directory}/n.sock`;
  for (const socketMode of [0o600, 0o666]) {
    const server = goipc.createServer({ directory, socketMode }, () => {});
    await server.listen('n');
    assert.equal(fs.statSync(path).mode & 0o777, socketMode);
    const { error } = await support.outcomeOf(goipc.createServer({ directory }, () => {}).listen('n'));
    checkError(error, 'other');
    assert.equal(error.reason, 'in-use');
    assert.match(error.message, /another server listens there/);
    await server.close();
    assert.deepEqual(fs.readdirSync(directory), []);
  }
});

test('a socket that nobody listens at is replaced; anything else stays', UNIX_ONLY, async (t) => {
  const directory = support.freshDirectory(t);
  const path = `${directory}/n.sock`;
  const other = goipc.createServer({ directory }, () => {});
  await other.listen('other');
  fs.linkSync(`${directory}/other.sock`, path); // what stays of a server that was killed
  fs.linkSync(path, `${directory}/kept`);
  await other.close();
  const server = goipc.createServer({ directory }, () => {});
  await server.listen('n');
  await (await goipc.connect('n', { directory })).close();
  fs.unlinkSync(path);
  fs.writeFileSync(path, 'mine');
  await server.close(); // the file at its path is not its socket
  assert.equal(fs.readFileSync(path, 'utf8'), 'mine');
  for (const put of [() => fs.mkdirSync(path), () => fs.symlinkSync(`${directory}/kept`, path), () => fs.writeFileSync(path, '')]) {
    fs.rmSync(path, { recursive: true });
    put();
    const { error } = await support.outcomeOf(goipc.createServer({ directory }, () => {}).listen('n'));
    checkError(error, 'other');
    assert.equal(error.reason, 'in-use');
    assert.ok(fs.lstatSync(path, { throwIfNoEntry: false }));
  }
});

// [the system's error, the call that meets it, the reason, what the message says]
const TROUBLES = [
  ['ENOSPC', 'mkdtemp', 'system', /disk is full. Make room/],
  ['ENOSPC', 'link', 'system', /disk is full. Make room/],
  ['EACCES', 'mkdtemp', 'permission', /may not make files there/],
  ['EROFS', 'link', 'permission', /may not make files there/],
  ['EMFILE', 'chmod', 'system', /too many descriptors/],
  ['EIO', 'lstat', 'system', /Look at the cause/],
];

for (const [code, call, reason, said] of TROUBLES) {
  test(`a server whose ${call}() ends with ${code}`, UNIX_ONLY, async (t) => {
    const before = support.openHandles();
    const directory = support.freshDirectory(t);
    t.mock.method(fsPromises, call, () => Promise.reject(Object.assign(new Error(`${code}: made up`), { code })));
    const server = goipc.createServer({ directory }, () => {});
    const { error } = await support.outcomeOf(server.listen('n'));
    checkError(error, 'other');
    assert.equal(error.reason, reason);
    assert.match(error.message, said);
    assert.equal(error.cause.code, code);
    t.mock.restoreAll();
    assert.deepEqual(fs.readdirSync(directory), []);
    await support.nothingLeft(before);
    await server.listen('n'); // the same server, once the trouble is over
    await server.close();
  });
}

test('a directory that is missing', UNIX_ONLY, async (t) => {
  const directory = `${support.freshDirectory(t)}/none`;
  const { error } = await support.outcomeOf(goipc.createServer({ directory }, () => {}).listen('n'));
  checkError(error, 'other');
  assert.match(error.message, /The directory does not exist. Make it/);
});

test('a socket of another user is not talked to', { ...UNIX_ONLY, skip: support.WINDOWS || process.geteuid() !== 0 }, async (t) => {
  const directory = support.freshDirectory(t);
  const server = goipc.createServer({ directory }, () => {});
  await server.listen('n');
  t.after(() => server.close());
  fs.chownSync(`${directory}/n.sock`, 1, 1);
  const { error } = await support.outcomeOf(goipc.connect('n', { directory }));
  checkError(error, 'other');
  assert.match(error.message, /belongs to user 1, not to 0/);
  await (await goipc.connect('n', { directory, peers: 'any' })).close();
  fs.lchownSync(`${directory}/n.sock`, 0, 0);
  fs.symlinkSync(`${directory}/n.sock`, `${directory}/link.sock`);
  await (await goipc.connect('link', { directory })).close();
  fs.lchownSync(`${directory}/link.sock`, 1, 1);
  await assert.rejects(goipc.connect('link', { directory }), /belongs to user 1/);
});
