// SPDX-License-Identifier: MIT
// Every vector of spec/vectors against the codec, the cryptography and the session.
'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const codec = require('../src/codec');
const crypto = require('../src/crypto');
const { Session } = require('../src/session');

const VECTORS = path.join(__dirname, '../../../spec/vectors');
const MODE_OFF = { encryption: 'off', messageSizeMax: codec.MESSAGE_SIZE_DEFAULT };

const hex = (text) => Buffer.from(text, 'hex');
const joined = (parts) => Buffer.concat(parts).toString('hex');

/** Runs `judge(group, vector)` for each vector of a file, in one test that names those that are wrong. */
function vectors(name, judge) {
  const { testGroups, numberOfTests } = JSON.parse(fs.readFileSync(path.join(VECTORS, `${name}.json`), 'utf8'));
  test(`vectors of ${name}`, () => {
    let count = 0;
    for (const group of testGroups) {
      for (const vector of group.tests) {
        try {
          judge(group, vector);
        } catch (error) {
          throw new Error(`${vector.id}: ${error.message}`, { cause: error });
        }
        count += 1;
      }
    }
    assert.equal(count, numberOfTests);
  });
}

/** A random source that gives what the vector lists. */
function scripted(draws) {
  const left = draws.map(hex);
  return {
    draw(size) {
      const piece = left.shift();
      assert.equal(piece?.length, size);
      return piece;
    },
  };
}

/** What a receiver makes of one frame: { message, count } or { more } or { error, count }; count is in bytes. */
function readFrame(wire, limit, key) {
  const input = new codec.Input();
  input.push(wire);
  const head = input.take(4);
  if (head === null) return { more: 4 };
  const length = head.readUInt32BE(0);
  try {
    codec.checkLength(length, limit, key !== undefined);
  } catch (error) {
    return { error: error.errorClass, count: 4 };
  }
  const body = input.take(length);
  if (body === null) return { more: 4 + length };
  try {
    return { message: codec.messageOf(key ? crypto.openBody(key, body) : body), count: 4 + length };
  } catch (error) {
    return { error: error.errorClass, count: 4 + length };
  }
}

vectors('kdf', (group, vector) => {
  const pair = new crypto.KeyPair(null, hex(vector.private));
  assert.equal(pair.public.toString('hex'), vector.public);
  const x = pair.agree(hex(vector.peer));
  assert.equal(x.toString('hex'), vector.x);
  assert.equal(crypto.deriveKey(x).toString('hex'), vector.key);
  assert.equal(crypto.deriveKeyFixed48(x).toString('hex'), vector.key_fixed48);
});

vectors('point', (group, vector) => {
  const agree = () => new crypto.KeyPair(null, hex(group.private)).agree(hex(vector.peer));
  if (vector.result === 'valid' && group.type !== 'OwnKeyTest') assert.equal(agree().length, 48);
  else assert.throws(agree, { errorClass: 'key' });
});

vectors('frame', (group, vector) => {
  const wire = hex(vector.wire);
  const found = readFrame(wire, group.limit);
  if (vector.result === 'more') {
    assert.deepEqual(found, { more: vector.needed });
  } else if (vector.result === 'fail') {
    assert.deepEqual(found, { error: vector.error, count: vector.needed });
  } else {
    assert.deepEqual(found, { message: { type: vector.type, data: hex(vector.data) }, count: vector.consumed });
    assert.equal(joined(codec.plainFrame(vector.type, hex(vector.data))), vector.wire.slice(0, 2 * found.count));
  }
});

vectors('seal', (group, vector) => {
  const key = hex(vector.key);
  const found = readFrame(hex(vector.wire), codec.MESSAGE_SIZE_DEFAULT, key);
  if (vector.result === 'invalid') {
    assert.equal(found.error, vector.error);
    return;
  }
  assert.deepEqual(found.message, { type: vector.type, data: hex(vector.data) });
  assert.equal(joined(crypto.sealFrame(key, hex(vector.nonce), vector.type, hex(vector.data))), vector.wire);
});

vectors('limit', (group, vector) => {
  if (group.type === 'BoundTest') {
    const judge = () => codec.checkLength(vector.length, vector.limit, vector.mode === 'sealed');
    if (vector.error) assert.throws(judge, { errorClass: vector.error });
    else judge();
    return;
  }
  if (group.mode === 'plain') {
    const session = new Session('client', MODE_OFF);
    session.start();
    session.receive(hex('0200'));
    const last = session.receive(hex(vector.wire)).at(-1);
    if (vector.result === 'limit') assert.equal(session.sendLimit, vector.limit);
    assert.equal(last.error?.errorClass, vector.error);
    return;
  }
  const wire = hex(vector.wire);
  const found = wire.readUInt32BE(0) === 32 ? readFrame(wire, 0, hex(group.key)) : { error: 'framing' };
  assert.equal(found.error, vector.error);
  if (vector.result === 'limit') assert.equal(found.message.type, vector.limit);
});

function shown({ event, message, error }) {
  if (event === 'message') return { event, type: message.type, data: message.data.toString('hex') };
  if (event === 'failed') return { event, class: error.errorClass };
  return { event };
}

const sent = (events) => joined(events.filter((one) => one.event === 'send').map((one) => one.bytes));

vectors('stream', (group, vector) => {
  const input = hex(vector.input);
  const settings = { encryption: vector.encryption, messageSizeMax: vector.limit };
  for (const cuts of [[], [...input.keys()].slice(1), ...vector.cuts]) {
    const session = new Session(vector.role, settings, scripted(vector.random_draws));
    const events = session.start();
    let from = 0;
    for (const to of [...cuts, input.length]) {
      // A chunk of its own: the session may keep views of it.
      events.push(...session.receive(Buffer.from(input.subarray(from, to))));
      from = to;
    }
    if (vector.end) events.push(...session.end());
    assert.deepEqual(events.filter((one) => one.event !== 'send').map(shown), vector.events);
    if (vector.output_exact) assert.equal(sent(events), vector.output);
    else assert.ok(vector.output.startsWith(sent(events)));
  }
});

// The role that another dialect plays in these transcripts.
const DIALECT = { FixedServer: 'server', FixedClient: 'client' };

vectors('transcript', (group, vector) => {
  const others = vector.flags.map((flag) => DIALECT[flag]);
  for (const role of ['server', 'client'].filter((one) => vector[one] && !others.includes(one))) {
    const { encryption, limit, private: secret = '', random_draws: draws } = vector[role];
    const settings = { encryption, messageSizeMax: limit };
    const session = new Session(role, settings, scripted(draws ?? [secret, '00'.repeat(8)]));
    const events = session.start();
    const frames = [];
    for (const message of vector.messages) {
      if (message.from !== role) events.push(...session.receive(hex(message.wire)));
      else if (message.name === 'FRAME') frames.push(...session.frame(message.type, hex(message.data)));
    }
    const delivered = events.filter((one) => one.event === 'message').map(({ message }) => message);
    const wanted = (vector.delivered[role] ?? []).map(({ type, data }) => ({ type, data: hex(data) }));
    assert.deepEqual(delivered, wanted);
    if (vector.nonces !== 'random') assert.equal(sent(events) + joined(frames), vector[`${role}_stream`]);
  }
});

function stretch(number, label, size) {
  const digests = [];
  for (let at = 0; at <= Math.floor(size / 32); at += 1) {
    const seed = [Buffer.from(`goipc accumulated 1${label}`), codec.u32(number), codec.u32(at)];
    digests.push(createHash('sha256').update(Buffer.concat(seed)).digest());
  }
  return Buffer.concat(digests).subarray(0, size);
}

function accumulate(count, onDigest) {
  let total = Buffer.alloc(32);
  for (let i = 0; i < count; i += 1) {
    let x = Buffer.concat([Buffer.alloc(i % 49), stretch(i, 'x', 48).subarray(i % 49)]);
    if (i % 100 === 99) {
      const [a, b] = ['a', 'b'].map((label) => {
        const secret = Buffer.from(stretch(i, label, 48));
        secret[0] &= 0x7f;
        return new crypto.KeyPair(null, secret);
      });
      x = a.agree(b.public);
    }
    const key = crypto.deriveKey(x);
    const nonce = stretch(i, 'n', 12);
    const type = stretch(i, 't', 4).readUInt32BE(0) || 1;
    const data = stretch(i, 'd', stretch(i, 's', 4).readUInt32BE(0) % 300);
    const parts = [total, key, ...codec.plainFrame(type, data), ...crypto.sealFrame(key, nonce, type, data)];
    total = createHash('sha256').update(Buffer.concat(parts)).digest();
    onDigest(i + 1, total.toString('hex'));
  }
}

{
  const digests = new Map();
  vectors('accumulated', (group, vector) => {
    if (digests.size === 0) {
      accumulate(Math.max(...group.tests.map((one) => one.count)), (count, digest) => digests.set(count, digest));
    }
    assert.equal(digests.get(vector.count), vector.digest);
  });
}
