// SPDX-License-Identifier: MIT
// Properties of the protocol without I/O, with inputs drawn at random. GOIPC_FUZZ_SECONDS lets each go on
// for so long: the fuzz of the package. fast-check shrinks what fails and names its seed.
'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const codec = require('../src/codec');
const crypto = require('../src/crypto');
const { GoipcError } = require('../src/errors');
const { Session } = require('../src/session');

let fc = null;
try {
  fc = require('fast-check');
} catch {
  // It is only there for development.
}

const SECONDS = Number(process.env.GOIPC_FUZZ_SECONDS ?? 0);
const SETTINGS = SECONDS ? { interruptAfterTimeLimit: SECONDS * 1000, numRuns: Number.MAX_SAFE_INTEGER } : { numRuns: 300 };
const OPTIONS = { skip: fc === null ? 'fast-check is not installed' : false, timeout: (SECONDS + 120) * 1000 };
const LIMIT = 4096;

/** A property that holds for all that `arbitraries()` draw. */
function holds(what, arbitraries, predicate) {
  test(what, OPTIONS, () => {
    const property = fc.property(...arbitraries(), predicate);
    const found = fc.check(property, SETTINGS);
    assert.ok(!found.failed || found.counterexample === null, fc.defaultReportMessage(found) ?? 'interrupted');
    if (SECONDS) console.log(`${found.numRuns} runs`);
  });
}

const bytes = (maxLength) => fc.uint8Array({ maxLength, size: 'max' }).map((one) => Buffer.from(one));
const messages = () =>
  fc.array(fc.record({ type: fc.integer({ min: 1, max: codec.TYPE_MAX }), data: bytes(LIMIT) }), { maxLength: 6 });
const cuts = () => fc.array(fc.nat({ max: 3 * LIMIT }), { maxLength: 12 });

/** The pieces of `wire` between the cuts, each a chunk of its own. */
function pieces(wire, at) {
  const ends = [...new Set(at.map((one) => one % (wire.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  return [...ends, wire.length].map((to) => {
    const piece = Buffer.from(wire.subarray(from, to));
    from = to;
    return piece;
  });
}

const sent = (events) => Buffer.concat(events.filter((one) => one.event === 'send').map((one) => one.bytes));

/** A server's and a client's session after their handshake with each other, its bytes cut at will. */
function connected(encryption, at = []) {
  const settings = { encryption, messageSizeMax: LIMIT };
  const server = new Session('server', settings);
  const client = new Session('client', { ...settings, encryption: 'optional' });
  let [forClient, forServer] = [sent(server.start()), sent(client.start())];
  while (forClient.length > 0 || forServer.length > 0) {
    const fromServer = pieces(forServer, at).flatMap((one) => server.receive(one));
    const fromClient = pieces(forClient, at).flatMap((one) => client.receive(one));
    [forClient, forServer] = [sent(fromServer), sent(fromClient)];
  }
  assert.ok(server.connected && client.connected && !server.over && !client.over);
  return { server, client };
}

/** A session of each kind, to be copied by sending it bytes: [role, what made it]. */
const ROLES = ['server', 'client'];
const MODES = ['on', 'off'];

holds(
  'what one side sends the other receives, however it is cut',
  () => [fc.constantFrom(...MODES), fc.constantFrom(...ROLES), messages(), cuts()],
  (mode, role, all, at) => {
    const both = connected(mode, at);
    const [from, to] = role === 'server' ? [both.server, both.client] : [both.client, both.server];
    const wire = Buffer.concat(all.flatMap(({ type, data }) => from.frame(type, data)));
    const events = pieces(wire, at).flatMap((one) => to.receive(one));
    assert.deepEqual(events.map((one) => one.message), all);
    assert.deepEqual(to.end(), [{ event: 'closed' }]);
  },
);

holds(
  'what is changed on its way ends an encrypted connection, and nothing of it is delivered',
  () => [messages().filter((one) => one.length > 0), fc.nat(), fc.integer({ min: 1, max: 255 }), cuts()],
  (all, where, change, at) => {
    const { server, client } = connected('on');
    const frames = all.map(({ type, data }) => Buffer.concat(client.frame(type, data)));
    const wire = Buffer.concat(frames);
    const place = where % wire.length;
    wire[place] ^= change;
    let whole = 0;
    for (let size = 0; size + frames[whole].length <= place; whole += 1) size += frames[whole].length;
    const events = [...pieces(wire, at).flatMap((one) => server.receive(one)), ...server.end()];
    const failed = events.pop();
    assert.equal(failed.event, 'failed');
    assert.ok(['auth', 'framing', 'too-large'].includes(failed.error.errorClass));
    assert.deepEqual(events.map((one) => one.message), all.slice(0, whole));
  },
);

holds(
  'any bytes at any moment end in events that are documented',
  () => [fc.constantFrom(...MODES), fc.constantFrom(...ROLES), fc.nat({ max: 3 }), bytes(300), cuts()],
  (mode, role, step, wire, at) => {
    const settings = { encryption: role === 'client' ? 'optional' : mode, messageSizeMax: LIMIT };
    const session = step === 3 ? connected(mode)[role] : new Session(role, settings);
    if (step < 3) session.start();
    const hello = Buffer.from([2, mode === 'on' ? 1 : 0]);
    if (step > 0 && step < 3) session.receive(role === 'client' ? hello : Buffer.from([0]));
    if (step === 2 && mode === 'on') session.receive(new crypto.KeyPair(crypto.systemRandom).public);
    const events = pieces(wire, at).flatMap((one) => session.receive(one));
    events.push(...session.end());
    for (const [index, { event, error, message }] of events.entries()) {
      const isLast = index === events.length - 1;
      assert.equal(isLast, event === 'closed' || event === 'failed');
      if (event === 'failed') assert.ok(error instanceof GoipcError);
      if (event === 'message') assert.ok(message.type > 0 && message.data.length <= LIMIT);
    }
    assert.deepEqual([session.receive(wire), session.end()], [[], []]);
  },
);

holds(
  'the input gives the bytes that were pushed, in pieces of any size',
  () => [bytes(3 * LIMIT), cuts(), fc.infiniteStream(fc.integer({ min: 1, max: 2 * LIMIT }))],
  (wire, at, sizes) => {
    const input = new codec.Input();
    const taken = [];
    let size = sizes.next().value;
    for (const piece of pieces(wire, at)) {
      input.push(piece);
      for (let one = input.take(size); one !== null; one = input.take(size)) {
        assert.equal(one.length, size);
        taken.push(one);
        size = sizes.next().value;
      }
    }
    const all = Buffer.concat(taken);
    assert.ok(wire.subarray(0, all.length).equals(all));
    assert.ok(wire.length - all.length < size);
    assert.equal(input.pending, wire.length > all.length);
  },
);

holds(
  'a point is refused or agreed on by both sides, and the key does not depend on the side',
  () => [fc.uint8Array({ minLength: 97, maxLength: 97 }), fc.boolean()],
  (point, valid) => {
    const [one, other] = [new crypto.KeyPair(crypto.systemRandom), new crypto.KeyPair(crypto.systemRandom)];
    if (valid) {
      const [ours, theirs] = [other.public, one.public];
      assert.deepEqual(crypto.deriveKey(one.agree(ours)), crypto.deriveKey(other.agree(theirs)));
    } else {
      point[0] = 4;
      assert.throws(() => one.agree(Buffer.from(point)), { errorClass: 'key' });
    }
  },
);
