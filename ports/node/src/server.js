// SPDX-License-Identifier: MIT
// A server and its clients (Section 12.4).
'use strict';

const { EventEmitter } = require('node:events');
const { somebodyListens } = require('./client');
const { Connection } = require('./connection');
const { GoipcError, OtherError } = require('./errors');
const { Link } = require('./link');
const { listen, unlisten } = require('./listener');
const { serverSettings } = require('./options');
const { endpointPath } = require('./path');
const { Session } = require('./session');

const LOOKS = 4; // turns of the event loop in which ends that have arrived are read

/** Makes a server; index.d.ts says what the options are. */
function createServer(options, onConnection) {
  if (typeof options === 'function') return new Server({}, options);
  return new Server(options, onConnection);
}

class Server extends EventEmitter {
  #settings;
  #onConnection;
  #hooks;
  #listener = null;
  #path = null;
  #state = 'new'; // then `listening`, `closed`
  #connections = new Set();
  #links = new Set();
  #looking = 0; // clients that wait whether a place is free
  #closed = null;

  /** `hooks` gives what a test wants random bytes (`random`) and the next connection (`seed`) to be. */
  constructor(options, onConnection, hooks = {}) {
    super();
    this.#settings = serverSettings(options);
    if (typeof onConnection !== 'function') {
      throw new OtherError('createServer needs a function that is called with each connection.');
    }
    this.#onConnection = onConnection;
    this.#hooks = hooks;
  }

  get path() {
    return this.#path;
  }

  get connections() {
    return new Set(this.#connections);
  }

  async listen(name) {
    if (this.#state !== 'new') throw new OtherError('A server listens once. Create another server.');
    const { directory, socketMode, signal } = this.#settings;
    const path = endpointPath(name, directory);
    signal?.throwIfAborted();
    this.#state = 'listening';
    try {
      this.#listener = await listen(path, socketMode, (socket) => this.#accept(socket), somebodyListens);
    } catch (error) {
      this.#state = 'new';
      throw error;
    }
    this.#listener.on('error', () => {}); // CN-008: accepting failed; the next client may succeed
    this.#path = path;
    if (signal?.aborted) await this.close();
    signal?.throwIfAborted();
    signal?.addEventListener('abort', () => this.close(), { once: true });
    return this;
  }

  close() {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close() {
    this.#state = 'closed';
    const listener = this.#listener;
    for (const link of this.#links) if (!link.session.connected) link.destroy();
    const all = [...this.#connections].map((connection) => connection.close());
    if (listener !== null) await unlisten(listener);
    await Promise.all(all);
    this.emit('close');
  }

  async #accept(socket) {
    if (this.#hasPlace()) {
      this.#serve(socket);
      return;
    }
    socket.on('error', () => {}); // no link listens to it
    if ((await this.#look()) && !socket.destroyed) this.#serve(socket);
    else socket.destroy(); // CN-002: not a byte
  }

  // CN-006: the end of a client that has left may have arrived and not been read yet.
  async #look() {
    if (this.#state === 'closed' || this.#looking >= this.#settings.clientsMax) return false;
    this.#looking += 1;
    for (const link of this.#links) link.look();
    for (let turn = 0; turn < LOOKS; turn += 1) await nextTurn();
    this.#looking -= 1;
    return this.#hasPlace();
  }

  #hasPlace() {
    return this.#state !== 'closed' && this.#occupied() < this.#settings.clientsMax;
  }

  #occupied() {
    let count = 0;
    for (const link of this.#links) if (link.occupied) count += 1;
    return count;
  }

  #serve(socket) {
    const { random, seed } = this.#hooks;
    this.#hooks.seed = undefined;
    const session = new Session('server', this.#settings, random, seed);
    const connection = new Connection();
    const opened = () => {
      this.#connections.add(connection);
      connection.once('close', () => this.#connections.delete(connection));
      connection.adopt(link);
      this.#handOut(connection);
    };
    const owner = connection.owner(opened, (error) => this.emit('clientError', error, null));
    const released = owner.released;
    owner.released = (unsent) => {
      this.#links.delete(link);
      released(unsent);
    };
    const link = new Link(socket, session, this.#settings, owner);
    this.#links.add(link);
  }

  #handOut(connection) {
    let handled;
    try {
      handled = this.#onConnection(connection);
    } finally {
      queueMicrotask(() => connection.deliver());
    }
    handled?.then?.(undefined, (error) => this.#handlerFailed(error, connection));
  }

  // What a peer does must not end the program; what the application's own function throws is its own.
  #handlerFailed(error, connection) {
    connection.destroy();
    this.emit(error instanceof GoipcError ? 'clientError' : 'error', error, connection);
  }
}

if (Symbol.asyncDispose) {
  Server.prototype[Symbol.asyncDispose] = Server.prototype.close;
}

function nextTurn() {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

module.exports = { Server, createServer };
