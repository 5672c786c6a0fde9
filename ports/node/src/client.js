// SPDX-License-Identifier: MIT
// Connecting, and connecting again (Section 12.5).
'use strict';

const net = require('node:net');
const { setTimeout: sleep } = require('node:timers/promises');
const { Connection } = require('./connection');
const { ClosedError, EndpointError, GoipcError, TimeoutError } = require('./errors');
const { Link } = require('./link');
const { clientSettings } = require('./options');
const { WINDOWS, checkOwner, checkOwnerAgain, endpointPath } = require('./path');
const { Session } = require('./session');

const FIRST_WAIT_MS = 5;
const PROBE_MS = 1000; // EP-012
const ALIVE_MS = 100; // EP-022
const TIMER_MAX_MS = 0x7fffffff;
const RETRIED = ['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EAGAIN', 'EBUSY']; // CN-011
const TROUBLE = {
  ENOENT: 'no server has made it. Start the server, or check the name and the directory',
  ECONNREFUSED: 'no server listens there any more. Start the server',
  ECONNRESET: 'the server ended while we connected. Start the server',
  EAGAIN: 'the server is busy. Try again later',
  EBUSY: 'the server is busy. Try again later',
  EACCES: 'this user may not connect. Run as the user of the server, or let the server set socketMode',
  EPERM: 'this user may not connect. Run as the user of the server, or let the server set socketMode',
  EMFILE: 'this process has too many descriptors open. Close some, or raise the limit',
};

/** Connects to the server called `name`; index.d.ts says what the options are. */
async function connect(name, options) {
  return open(name, options);
}

/** connect() with what a test wants random bytes and the first connection to be. */
async function open(name, options, random = undefined, seed = undefined) {
  const settings = clientSettings(options);
  const path = endpointPath(name, settings.directory);
  settings.signal?.throwIfAborted();
  const again = (connection, signal) =>
    dial({ path, settings, connection, random, signal, timeoutMs: settings.reconnectTimeoutMs });
  const connection = new Connection(settings.reconnect ? again : null);
  const { signal, timeoutMs } = settings;
  await dial({ path, settings, connection, random, seed, signal, timeoutMs });
  closeOnAbort(connection, signal);
  setImmediate(() => connection.deliver());
  return connection;
}

function closeOnAbort(connection, signal) {
  if (signal === undefined) return;
  const abort = () => connection.destroy();
  signal.addEventListener('abort', abort, { once: true });
  connection.once('close', () => signal.removeEventListener('abort', abort));
}

/** Tries until a link is connected and adopted, the time is over, or trying again is in vain. */
async function dial(call) {
  const deadline = performance.now() + call.timeoutMs;
  let last = null;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, call.settings.retryIntervalMs)) {
    try {
      await attempt(call, Math.max(1, deadline - performance.now()));
      return;
    } catch (error) {
      call.signal?.throwIfAborted();
      const isLate = error instanceof TimeoutError && performance.now() >= deadline - 1;
      if (!(error instanceof GoipcError) || !(error.retry || isLate)) throw error;
      last = error.retry || last === null ? error : last;
    }
    const pauseMs = waitMs * (0.5 + Math.random() / 2); // CN-012
    const leftMs = deadline - performance.now();
    await pause(Math.min(pauseMs, leftMs), call.signal);
    if (leftMs <= pauseMs) {
      throw new TimeoutError(`No connection within ${call.timeoutMs} ms. The last error: ${last.message}`, last);
    }
  }
}

async function pause(ms, signal) {
  try {
    if (ms > 0) await sleep(ms, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}

/** One attempt. What it throws has `retry` set when the next one may succeed. */
async function attempt({ path, settings, connection, random, seed, signal }, limitMs) {
  const startedAt = performance.now();
  const checked = !WINDOWS && settings.peers === 'same-user';
  let socket;
  try {
    if (checked) checkOwner(path);
    signal?.throwIfAborted();
    socket = await dialSocket(path, limitMs);
    if (checked) checkOwnerAgain(path); // nothing of the socket is read between here and the link
  } catch (error) {
    socket?.destroy();
    throw systemError(path, error);
  }
  const leftMs = Math.min(settings.handshakeTimeoutMs, limitMs - (performance.now() - startedAt));
  const timing = { ...settings, handshakeTimeoutMs: Math.ceil(Math.min(Math.max(1, leftMs), TIMER_MAX_MS)) };
  const session = new Session('client', settings, random, seed);
  await new Promise((resolve, reject) => {
    const opened = () => {
      signal?.removeEventListener('abort', abort);
      connection.adopt(link);
      resolve();
    };
    const failed = (error) => {
      signal?.removeEventListener('abort', abort);
      error.retry = error instanceof ClosedError && !session.heard; // closed before HELLO
      reject(error);
    };
    const link = new Link(socket, session, timing, connection.owner(opened, failed));
    const abort = () => {
      link.destroy();
      reject(signal.reason);
    };
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}

function dialSocket(path, limitMs) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path, allowHalfOpen: true });
    const timer = setTimeout(() => socket.destroy(new TimeoutError(`${path} did not answer. The server is busy or stuck.`)), Math.min(limitMs, TIMER_MAX_MS));
    const failed = (error) => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', failed);
      resolve(socket);
    });
  });
}

function systemError(path, error) {
  if (error instanceof GoipcError || error.code === undefined) return error;
  const denied = error.code === 'EACCES' || error.code === 'EPERM';
  const why = TROUBLE[error.code] ?? 'the system refused it. Look at the cause';
  const made = new EndpointError(denied ? 'permission' : 'system', `${path}: ${why} (${error.code}).`, error);
  made.retry = RETRIED.includes(error.code);
  return made;
}

/** EP-012, EP-022: whether a server listens at `path`. A refused connection alone says that none does. */
async function somebodyListens(path) {
  const settings = clientSettings({ encryption: 'optional', peers: 'any', handshakeTimeoutMs: PROBE_MS });
  const connection = new Connection();
  try {
    await attempt({ path, settings, connection }, PROBE_MS);
  } catch (error) {
    return !['ECONNREFUSED', 'ENOENT'].includes(error.cause?.code);
  }
  await sleep(ALIVE_MS);
  await connection.close();
  return true;
}

module.exports = { connect, open, somebodyListens };
