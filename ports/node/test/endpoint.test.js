// SPDX-License-Identifier: MIT
// Servers and clients of this package with each other: messages, waiting, ends.
'use strict';

const assert = require('node:assert/strict');
const { randomBytes } = require('node:crypto');
const { once } = require('node:events');
const { test } = require('node:test');
const goipc = require('../src');
const support = require('./support');

const LIMIT = { timeout: 60000 };

/** A server and a client, both closed after the test. `serve` is called with the server's connections. */
async function pair(t, { serve = echo, server: serverOptions = {}, client: clientOptions = {} } = {}) {
  const name = support.freshName();
  const server = goipc.createServer(serverOptions, serve);
  await server.listen(name);
  t.after(() => server.close());
  const connection = await goipc.connect(name, clientOptions);
  t.after(() => connection.destroy());
  return { name, server, connection };
}

async function echo(connection) {
  for await (const { type, data } of connection) await connection.send(type, data);
}

for (const encryption of ['on', 'off']) {
  test(`messages of every size come back as they were, encryption ${encryption}`, LIMIT, async (t) => {
    const { connection } = await pair(t, { server: { encryption }, client: { encryption: 'optional' } });
    assert.equal(connection.encrypted, encryption === 'on');
    assert.equal(connection.messageSizeMax, 3145728);
    for (const size of [0, 1, 5, 4095, 4096, 16383, 16384, 65503, 65536, 1048576, 3145728]) {
      const data = randomBytes(size);
      const sending = connection.send(0x7fffffff, data);
      const message = await connection.receive();
      await sending;
      assert.equal(message.type, 0x7fffffff);
      assert.ok(message.data.equals(data), `${size} bytes`);
    }
  });

  test(`many messages keep their order in both directions, encryption ${encryption}`, LIMIT, async (t) => {
    const { connection } = await pair(t, { server: { encryption }, client: { encryption: 'optional' } });
    const sizes = Array.from({ length: 3000 }, (_, at) => (at * 7919) % (at % 100 === 0 ? 200000 : 500));
    const sending = (async () => {
      for (const [at, size] of sizes.entries()) await connection.send(at + 1, Buffer.alloc(size, at));
    })();
    for (const [at, size] of sizes.entries()) {
      const { type, data } = await connection.receive();
      assert.deepEqual([type, data.length], [at + 1, size]);
      assert.ok(data.every((byte) => byte === at % 256));
    }
    await sending;
  });
}

test('every kind of data is sent as its bytes', LIMIT, async (t) => {
  const { connection } = await pair(t);
  const bytes = Uint8Array.from([1, 2, 3, 4]);
  for (const [data, wanted] of [
    ['grün', Buffer.from('grün')],
    [bytes, Buffer.from(bytes)],
    [bytes.buffer, Buffer.from(bytes)],
    [new DataView(bytes.buffer, 1, 2), Buffer.from([2, 3])],
    [new Uint16Array(bytes.buffer, 2, 1), Buffer.from([3, 4])],
    [undefined, Buffer.alloc(0)],
  ]) {
    await connection.send(1, data);
    assert.deepEqual((await connection.receive()).data, wanted);
  }
});

for (const encryption of ['on', 'off']) {
  test(`data may be changed as soon as send() has returned, encryption ${encryption}`, LIMIT, async (t) => {
    const { connection } = await pair(t, { server: { encryption }, client: { encryption: 'optional' } });
    for (const size of [10, 20000, 200000]) {
      const data = Buffer.alloc(size, 1);
      const sending = connection.send(1, data);
      data.fill(2);
      assert.ok((await connection.receive()).data.equals(Buffer.alloc(size, 1)));
      await sending;
    }
  });
}

test('what cannot be sent is refused, and the connection goes on', LIMIT, async (t) => {
  const { connection } = await pair(t, { server: { messageSizeMax: 1024 } });
  const refused = async (errorClass, ...what) => {
    const { error } = await support.outcomeOf(connection.send(...what));
    assert.ok(error instanceof goipc.GoipcError);
    assert.equal(error.errorClass, errorClass);
  };
  await refused('reserved-type', 0, 'x');
  await refused('reserved-type', 0, Buffer.alloc(1025));
  await refused('too-large', 1, Buffer.alloc(1025));
  for (const type of [-1, 1.5, 2147483648, 4294967296, '1', undefined, NaN]) await refused('other', type, 'x');
  for (const data of [null, 5, {}, [1], Symbol('x')]) await refused('other', 1, data);
  await connection.send(1, Buffer.alloc(1024));
  assert.equal((await connection.receive()).data.length, 1024);
});

test('listeners get the messages in order, also those that came before the listener', LIMIT, async (t) => {
  const serve = async (connection) => {
    for (let type = 1; type <= 100; type += 1) await connection.send(type);
    await connection.close();
  };
  const { connection } = await pair(t, { serve });
  const types = [];
  const statuses = [];
  await new Promise((resolve) => setImmediate(resolve));
  connection.on('status', (status, error) => statuses.push([status, error, types.length]));
  connection.on('message', ({ type }) => types.push(type));
  const [error] = await once(connection, 'close');
  assert.equal(error, null);
  assert.deepEqual(types, Array.from({ length: 100 }, (_, at) => at + 1));
  assert.deepEqual(statuses, [['closed', null, 100]]);
});

test('messages go to listeners or to receive(), not to both', LIMIT, async (t) => {
  const { connection } = await pair(t);
  connection.on('message', () => {});
  await assert.rejects(connection.receive(), goipc.OtherError);
  await assert.rejects(async () => {
    for await (const message of connection) assert.fail(String(message));
  }, goipc.OtherError);
});

test('an error that a listener throws is the application’s, and costs no message', LIMIT, async (t) => {
  const { connection } = await pair(t);
  const types = [];
  const thrown = once(process, 'uncaughtException');
  const others = process.listeners('uncaughtException').slice(0, -1);
  for (const other of others) process.off('uncaughtException', other); // the test runner's
  t.after(() => others.forEach((other) => process.on('uncaughtException', other)));
  connection.on('message', ({ type }) => {
    types.push(type);
    if (type === 1) throw new Error('mine');
  });
  for (const type of [1, 2, 3]) await connection.send(type);
  assert.equal((await thrown)[0].message, 'mine');
  await support.until(() => types.length === 3);
  assert.deepEqual(types, [1, 2, 3]);
});

test('the loop ends with the connection, and leaving it closes nothing', LIMIT, async (t) => {
  const { connection, server } = await pair(t);
  await connection.send(1);
  await connection.send(2);
  for await (const { type } of connection) {
    assert.equal(type, 1);
    break;
  }
  assert.equal((await connection.receive()).type, 2);
  const left = (async () => {
    let count = 0;
    for await (const message of connection) count += message.type;
    return count;
  })();
  await server.close();
  assert.equal(await left, 0);
  assert.equal(connection.status, 'closed');
  await assert.rejects(connection.receive(), goipc.ClosedError);
  await assert.rejects(connection.receive(), goipc.ClosedError);
  await assert.rejects(connection.send(1), goipc.ClosedError);
});

test('receive() ends early by time and by signal, and takes no message then', LIMIT, async (t) => {
  const { connection } = await pair(t);
  await assert.rejects(connection.receive({ timeoutMs: 5 }), goipc.TimeoutError);
  const aborting = new AbortController();
  const waiting = connection.receive({ signal: aborting.signal });
  const next = connection.receive();
  aborting.abort(new Error('enough'));
  await assert.rejects(waiting, { message: 'enough' });
  await assert.rejects(connection.receive({ signal: aborting.signal }), { message: 'enough' });
  await connection.send(7);
  assert.equal((await next).type, 7);
});

test('send() waits for a peer that does not read, and ends by signal', LIMIT, async (t) => {
  let serverSide;
  const serve = (connection) => {
    serverSide = connection; // and reads nothing
  };
  const { connection } = await pair(t, { serve, client: { queueSizeMax: 100000 } });
  const data = Buffer.alloc(60000);
  let sent = 0;
  let waiting;
  for (;;) {
    const sending = connection.send(1, data);
    sent += 1;
    const settled = await Promise.race([sending.then(() => true), turns(50).then(() => false)]);
    if (!settled) {
      waiting = sending;
      break;
    }
  }
  assert.ok(connection.queuedBytes >= 100000);
  assert.ok(sent < 100, `${sent} messages were taken`);
  const aborting = new AbortController();
  const abandoned = connection.send(2, '', { signal: aborting.signal });
  aborting.abort(new Error('enough'));
  await assert.rejects(abandoned, { message: 'enough' });
  let received = 0;
  serverSide.on('message', () => {
    received += 1;
  });
  await waiting;
  await support.until(() => received === sent + 1);
});

async function turns(count) {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
}

test('a connection fails when far too much waits for a peer that does not read', LIMIT, async (t) => {
  const { connection } = await pair(t, { serve: () => {}, server: { encryption: 'off' }, client: { encryption: 'off' } });
  const closed = once(connection, 'close');
  const data = Buffer.alloc(3145728);
  let last;
  for (let count = 0; count < 30; count += 1) last = connection.send(1, data);
  await assert.rejects(last, goipc.ClosedError);
  const [error] = await closed;
  assert.equal(error.errorClass, 'other');
  assert.match(error.message, /Await each send/);
});

test('reading pauses while the application does not fetch', LIMIT, async (t) => {
  let serverSide;
  const { connection } = await pair(t, { serve: (one) => (serverSide = one) });
  await support.until(() => serverSide);
  let taken = 0;
  let last = serverSide.send(1, Buffer.alloc(65536));
  while (await Promise.race([last.then(() => true), turns(50).then(() => false)])) {
    taken += 1;
    last = serverSide.send(1, Buffer.alloc(65536));
  }
  assert.ok(taken < 100, `${taken} messages were taken`);
  for (let count = 0; count <= taken; count += 1) assert.equal((await connection.receive()).data.length, 65536);
});

test('close() sends what was handed over, and both sides end in order', LIMIT, async (t) => {
  let total = 0;
  const ended = new Promise((resolve) => {
    t.serve = async (connection) => {
      for await (const { data } of connection) total += data.length;
      resolve(connection.status);
    };
  });
  const { connection } = await pair(t, { serve: t.serve });
  for (let count = 0; count < 20; count += 1) connection.send(1, Buffer.alloc(100000));
  const closed = once(connection, 'close');
  await Promise.all([connection.close(), connection.close()]);
  assert.equal((await closed)[0], null);
  assert.equal(await ended, 'closed');
  assert.equal(total, 2000000);
});

test('close() tells what it could not send in its time', LIMIT, async (t) => {
  const { connection } = await pair(t, { serve: () => {}, client: { closeTimeoutMs: 20 } });
  for (let count = 0; count < 3; count += 1) connection.send(1, Buffer.alloc(3145728));
  connection.close();
  const [error] = await once(connection, 'close');
  assert.ok(error instanceof goipc.ClosedError);
  assert.match(error.message, /bytes could not be sent/);
});

test('a connection can be closed at any moment, and more than once', LIMIT, async (t) => {
  const { name } = await pair(t);
  const connection = await goipc.connect(name);
  const waiting = support.outcomeOf(connection.receive());
  connection.on('status', () => connection.destroy());
  await Promise.all([connection.close(), connection.destroy(), connection.close()]);
  assert.ok((await waiting).error instanceof goipc.ClosedError);
  assert.equal(connection.status, 'closed');
});

test('a server serves as many clients as it was told, and the next when one has left', LIMIT, async (t) => {
  const { name, connection, server } = await pair(t, { server: { clientsMax: 2 } });
  const second = await goipc.connect(name);
  await support.until(() => server.connections.size === 2);
  const third = await support.outcomeOf(goipc.connect(name, { timeoutMs: 100 }));
  assert.equal(third.error.errorClass, 'timeout');
  const turnedAway = await support.rawClient(t, name);
  assert.equal(await turnedAway.bytes(1), null);
  for (let count = 0; count < 50; count += 1) {
    await second.close();
    const next = await goipc.connect(name);
    await next.send(1, 'x');
    assert.equal((await next.receive()).data.toString(), 'x');
    next.destroy();
  }
  await connection.send(3);
  assert.equal((await connection.receive()).type, 3);
});

test('what the handler throws is told, and closes the connection only', LIMIT, async (t) => {
  const serve = async (connection) => {
    const { type } = await connection.receive();
    if (type === 1) throw new Error('mine');
    await connection.send(0);
  };
  const { name, server, connection } = await pair(t, { serve });
  const failed = once(server, 'error', { signal: AbortSignal.timeout(50000) }).catch((error) => [error]);
  await connection.send(1);
  assert.equal((await failed)[0].message, 'mine');
  await once(connection, 'close');
  const refused = once(server, 'clientError');
  const other = await goipc.connect(name);
  await other.send(2);
  const [error, which] = await refused;
  assert.equal(error.errorClass, 'reserved-type');
  assert.equal(which.status, 'closed');
});

test('a signal ends connecting, listening and what came of them', LIMIT, async (t) => {
  const before = support.openHandles();
  const aborting = new AbortController();
  const { signal } = aborting;
  const server = goipc.createServer({ signal }, echo);
  const name = support.freshName();
  await server.listen(name);
  const connection = await goipc.connect(name, { signal });
  const missing = goipc.connect(support.freshName(), { signal, timeoutMs: Infinity });
  const silent = support.freshName();
  await support.rawServer(t, silent, () => {});
  const stuck = goipc.connect(silent, { signal, timeoutMs: Infinity });
  const ended = [once(server, 'close'), once(connection, 'close')];
  await turns(5);
  aborting.abort(new Error('enough'));
  await assert.rejects(missing, { message: 'enough' });
  await assert.rejects(stuck, { message: 'enough' });
  await Promise.all(ended);
  await assert.rejects(goipc.connect(name, { signal }), { message: 'enough' });
  await assert.rejects(goipc.createServer({ signal }, echo).listen(name), { message: 'enough' });
  await support.nothingLeft(before + 2); // the raw server and its socket
});

test('a client that reconnects tells so, in order with its messages', LIMIT, async (t) => {
  const name = support.freshName();
  const greet = async (connection) => {
    await connection.send(1, 'welcome');
    await connection.receive();
    await connection.close();
  };
  const start = async () => {
    const server = goipc.createServer(greet);
    await server.listen(name);
    return server;
  };
  let server = await start();
  const connection = await goipc.connect(name, { reconnect: true });
  const seen = [];
  connection.on('status', (status) => seen.push(status));
  connection.on('message', ({ data }) => seen.push(data.toString()));
  await support.until(() => seen.length === 1);
  await connection.send(2);
  await support.until(() => seen.length === 4);
  await server.close();
  await support.until(() => connection.status === 'reconnecting');
  await assert.rejects(connection.send(1), goipc.ClosedError);
  server = await start();
  await support.until(() => seen.length === 7);
  assert.deepEqual(seen, ['welcome', ...Array(2).fill(['reconnecting', 'connected', 'welcome']).flat()]);
  await server.close();
  await support.until(() => connection.status === 'reconnecting');
  const closed = once(connection, 'close');
  await connection.close();
  assert.equal((await closed)[0], null);
});

test('a client that reconnects gives up when its time is over', LIMIT, async (t) => {
  const { connection, server } = await pair(t, { client: { reconnect: true, reconnectTimeoutMs: 50 } });
  await server.close();
  await assert.rejects(connection.receive(), goipc.TimeoutError);
  assert.equal(connection.status, 'closed');
});

test('a server listens once, and closes at any moment', LIMIT, async () => {
  const before = support.openHandles();
  const server = goipc.createServer(echo);
  const listening = server.listen(support.freshName());
  await assert.rejects(server.listen('other'), goipc.OtherError);
  await listening;
  await Promise.all([server.close(), server.close()]);
  await goipc.createServer(echo).close();
  await support.nothingLeft(before);
});

test('options that do not exist or are out of bounds are refused by name', async () => {
  assert.throws(() => goipc.createServer({ clientMax: 5 }, echo), /There is no option clientMax/);
  assert.throws(() => goipc.createServer({ messageSizeMax: 1023 }, echo), /messageSizeMax is 1023/);
  assert.throws(() => goipc.createServer({ encryption: 'required' }, echo), /one of on, off/);
  assert.throws(() => goipc.createServer({}), /needs a function/);
  await assert.rejects(goipc.connect('x', { timeoutMs: 0 }), /timeoutMs is 0/);
  await assert.rejects(goipc.connect('x', { encryption: true }), /one of required, optional, off/);
});

test('await using closes', { ...LIMIT, skip: !Symbol.asyncDispose }, async (t) => {
  const { name } = await pair(t);
  const connection = await goipc.connect(name);
  await connection[Symbol.asyncDispose]();
  assert.equal(connection.status, 'closed');
});
