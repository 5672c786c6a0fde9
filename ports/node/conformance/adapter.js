#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// HP/1 on standard input and output, levels 1 and 2: conformance/docs/harness-protocol.md.
'use strict';

const { createHash, randomBytes } = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const readline = require('node:readline');
const v8 = require('node:v8');
const vm = require('node:vm');
const { version } = require('../package.json');
const client = require('../src/client');
const codec = require('../src/codec');
const crypto = require('../src/crypto');
const { ClosedError, EncryptionError, GoipcError, OtherError, VersionError } = require('../src/errors');
const { Server } = require('../src/server');

const ROLES = ['server', 'client', 'codec'];
const CAPS = [
  ...['enc', 'plain', 'enc-optional', 'multi-client', 'handshake-timeout', 'max-receive', 'reconnect', 'directory'],
  ...['enc-default', 'hooks.rng', 'hooks.sealed', 'hooks.random-fails'],
];
const SHOWN_MAX = 1024; // bytes of data above which an event carries a digest

// The suite looks for leaks in the memory of the process, where V8 lets 64 MiB of unused buffers stand
// before it collects. Collected as often as this, what grows is what is held.
const COLLECT_SIZE = 1048576; // bytes of data
v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc');
let uncollected = 0;

function received(size) {
  uncollected += size;
  if (uncollected < COLLECT_SIZE) return;
  uncollected = 0;
  collect({ type: 'minor' });
}

/** The system's random source, which can be told to fail. */
class ScriptedRandom {
  #left = Infinity;
  #failed = 0;

  draw(size) {
    if (this.#left === 0) {
      this.#failed += 1;
      throw new Error('no random bytes');
    }
    this.#left -= 1;
    return randomBytes(size);
  }

  /** Lets so many further draws succeed; returns how many have failed until now. */
  script(left = Infinity) {
    const failed = this.#failed;
    this.#failed = 0;
    this.#left = left;
    return failed;
  }
}

/** Nonces that a test gives. */
class FixedNonces {
  #used = new Set();

  constructor(hex) {
    this.left = hex.match(/.{24}/g);
  }

  next() {
    const nonce = this.left.shift();
    if (nonce === undefined) throw new OtherError('no nonce is left');
    this.#used.add(nonce);
    return Buffer.from(nonce, 'hex');
  }

  isOwn(body) {
    return this.#used.has(body.toString('hex', 0, crypto.NONCE_SIZE));
  }
}

const random = new ScriptedRandom();
const open = new Map(); // connections by number, the newest last
let lastNumber = 0;
let server = null;
let cancel = new AbortController(); // of the client
let echo = false;
let seed = {};
let refusals = 0; // handshakes in which a client of our server refused

function say(message) {
  fs.writeSync(1, `${JSON.stringify(message)}\n`); // written when this returns, on Windows, too
}

function errorOf(error) {
  const errorClass = error.reason && error.reason !== 'system' ? error.reason : error.errorClass;
  return { class: errorClass ?? 'other', message: error.message };
}

// What an application does: it tells what it is given, and echoes it.
async function live(connection, number) {
  open.set(number, connection);
  connection.on('status', (status, error) => {
    if (status === 'connected') say({ ev: 'state', state: 'connected', conn: number });
    if (status !== 'connected') ended(number, error);
  });
  say({ ev: 'state', state: 'connected', conn: number });
  try {
    for await (const { type, data } of connection) {
      say({ ev: 'message', conn: number, type, len: data.length, ...shown(data) });
      if (echo) await connection.send(type, data).catch(notEchoed);
      received(data.length);
    }
  } catch (error) {
    if (!(error instanceof GoipcError)) throw error; // else the status has told it
  }
  open.delete(number);
}

function ended(number, error) {
  if (error !== null) say({ ev: 'error', conn: number, ...errorOf(error) });
  say({ ev: 'state', state: 'disconnected', conn: number });
}

function shown(data) {
  if (data.length <= SHOWN_MAX) return { data: data.toString('hex') };
  return { sha256: createHash('sha256').update(data).digest('hex') };
}

function notEchoed(error) {
  if (!(error instanceof ClosedError)) process.stderr.write(`not echoed: ${error.message}\n`);
}

async function closeAll() {
  cancel.abort();
  cancel = new AbortController();
  await server?.close();
  server = null;
  await Promise.all([...open.values()].map((connection) => connection.close()));
}

function takeSeed() {
  const taken = seed;
  seed = {};
  return taken;
}

function optionsOf(request, names) {
  const options = { directory: request.endpoint.directory };
  for (const [theirs, ours] of Object.entries(names)) options[ours] = request[theirs];
  return options;
}

function pick(request) {
  const connection = 'conn' in request ? open.get(request.conn) : [...open.values()].at(-1);
  if (!connection) throw new ClosedError('There is no such connection.');
  return connection;
}

const joined = (parts) => Buffer.concat(parts).toString('hex');
const bytes = (hex) => (hex === undefined ? undefined : Buffer.from(hex, 'hex'));

const COMMANDS = {
  hello() {
    const impl = { name: 'goipc-node', version, language: 'javascript', os: process.platform, arch: os.arch() };
    return { hp: 1, impl, roles: ROLES, caps: CAPS, isolation: 'process' };
  },

  async serve(request) {
    await closeAll();
    echo = request.echo ?? false;
    const options = optionsOf(request, {
      max_message_size: 'messageSizeMax',
      handshake_timeout_ms: 'handshakeTimeoutMs',
    });
    options.clientsMax = request.clients_max ?? 1;
    options.encryption = { required: 'on', off: 'off' }[request.encryption];
    const hooks = { random, seed: takeSeed() };
    server = new Server(options, (connection) => live(connection, (lastNumber += 1)), hooks);
    server.on('clientError', (error, connection) => {
      if (connection !== null) return;
      const conn = (lastNumber += 1);
      if (error instanceof VersionError || error instanceof EncryptionError) refusals += 1;
      say({ ev: 'error', conn, ...errorOf(error) });
      say({ ev: 'state', state: 'failed', conn });
    });
    await server.listen(request.endpoint.name ?? '');
    return { endpoint: { transport: process.platform === 'win32' ? 'pipe' : 'unix', path: server.path } };
  },

  async connect(request) {
    await closeAll();
    echo = request.echo ?? false;
    const options = optionsOf(request, {
      max_message_size: 'messageSizeMax',
      handshake_timeout_ms: 'handshakeTimeoutMs',
      timeout_ms: 'timeoutMs',
      reconnect: 'reconnect',
    });
    options.encryption = request.encryption === 'default' ? undefined : request.encryption;
    options.signal = cancel.signal;
    const connection = await client.open(request.endpoint.name ?? '', options, random, takeSeed());
    const conn = (lastNumber += 1);
    live(connection, conn);
    return { conn, max_message_size: connection.messageSizeMax, encrypted: connection.encrypted };
  },

  echo(request) {
    echo = request.on;
  },

  async send(request) {
    const connection = pick(request);
    const data = bytes(request.data);
    await connection.send(request.type, Buffer.concat(Array(request.repeat ?? 1).fill(data)));
  },

  async close(request) {
    const connection = pick(request);
    if (request.how === 'abort') connection.destroy();
    else connection.close();
  },

  async stop() {
    await Promise.race([closeAll(), new Promise((resolve) => setTimeout(resolve, 500))]);
  },

  decode(request) {
    const key = bytes(request.key);
    const limit = request.max ?? codec.MESSAGE_SIZE_DEFAULT;
    const wire = bytes(request.hex);
    const input = new codec.Input();
    const frames = [];
    let used = 0;
    input.push(wire);
    try {
      for (let head = input.take(4); head !== null; head = input.take(4)) {
        const length = head.readUInt32BE(0);
        codec.checkLength(length, limit, key !== undefined);
        const body = input.take(length);
        if (body === null) break;
        used += 4 + length;
        const { type, data } = codec.messageOf(key ? crypto.openBody(key, body) : body);
        if (type !== 0) frames.push({ type, data: data.toString('hex') });
      }
    } catch (error) {
      return { frames, rest: 0, error: errorOf(error) };
    }
    return { frames, rest: wire.length - used };
  },

  encode(request) {
    const data = bytes(request.data);
    const key = bytes(request.key);
    codec.checkMessage(request.type, data.length, request.max ?? codec.U32_MAX, key !== undefined);
    if (key === undefined) return { hex: joined(codec.plainFrame(request.type, data)) };
    const isServer = request.dir === 's2c';
    const nonce = bytes(request.nonce) ?? new crypto.CounterNonces(crypto.systemRandom, isServer).next();
    return { hex: joined(crypto.sealFrame(key, nonce, request.type, data)) };
  },

  kdf(request) {
    const x = bytes(request.x) ?? new crypto.KeyPair(random, bytes(request.priv)).agree(bytes(request.peer));
    return { key: crypto.deriveKey(x).toString('hex') };
  },

  seed(request) {
    seed = { privateKey: bytes(request.private_key), sealed: request.sealed };
    if (request.nonces) seed.nonces = new FixedNonces(request.nonces);
  },

  random(request) {
    return { failed: random.script(request.draws) };
  },

  stats() {
    const rss = process.memoryUsage.rss();
    if (process.platform !== 'linux') return { rss, refusals };
    const count = (what) => fs.readdirSync(`/proc/self/${what}`).length;
    return { rss, fds: count('fd'), threads: count('task'), refusals };
  },
};

async function answer(request) {
  const command = Object.hasOwn(COMMANDS, request.cmd) ? COMMANDS[request.cmd] : null;
  if (command === null) return { ok: false, unsupported: true, reason: 'unknown command' };
  try {
    return { ok: true, ...(await command(request)) };
  } catch (error) {
    return { ok: false, error: errorOf(error) };
  }
}

// Under Wine a pipe to standard input can only be read as a file.
const input = process.platform === 'win32' ? fs.createReadStream(null, { fd: 0 }) : process.stdin;
const lines = readline.createInterface({ input });
lines.on('line', async (line) => {
  const request = JSON.parse(line);
  say({ id: request.id, ...(await answer(request)) });
  if (request.cmd === 'stop') process.exit(0);
});
lines.on('close', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
