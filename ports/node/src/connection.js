// SPDX-License-Identifier: MIT
// What an application holds: messages out, messages in, status. A client's outlives its links.
'use strict';

const { EventEmitter } = require('node:events');
const { ClosedError, OtherError, TimeoutError } = require('./errors');
const { notConnected } = require('./link');

const READ_AHEAD = 262144; // bytes of messages that wait for the application before reading pauses
const MESSAGE_COST = 256; // bytes that a waiting message takes besides its data
const UNREAD_MAX = 67108864; // bytes, besides one message, that may wait to be sent
const FINAL = ['version', 'encryption', 'key', 'auth']; // CN-014: another attempt would end alike
const SENT = Promise.resolve();

class Connection extends EventEmitter {
  #link = null;
  #links = 0; // that hold a socket
  #relink; // makes the next link of a client that reconnects, else null
  #cancel = new AbortController(); // of #relink
  #queue = [];
  #cost = 0; // bytes of #queue
  #receivers = []; // receive() calls that wait
  #status = 'connecting';
  #held = true; // deliver nothing until the application has had a chance to listen
  #handing = false; // a hand-over is due
  #ending = undefined; // how the link ended, until the queue is empty: an error, or null
  #failure = null; // to be thrown to one receiver
  #reason = null; // what the event `close` tells
  #closed;
  #resolveClosed;
  #isClosed = false;

  /** `relink(connection, signal)` makes and adopts the next link of a client that reconnects. */
  constructor(relink = null) {
    super();
    this.#relink = relink;
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.on('newListener', (name) => {
      if (name === 'message') this.#handOverSoon();
    });
  }

  get status() {
    return this.#status;
  }

  get encrypted() {
    return this.#link?.session.sealed ?? false;
  }

  get messageSizeMax() {
    return this.#link?.session.sendLimit ?? 0;
  }

  get queuedBytes() {
    return this.#link?.queuedBytes ?? 0;
  }

  send(type, data = '', { signal } = {}) {
    let room;
    try {
      signal?.throwIfAborted();
      if (this.#status !== 'connected' || this.#ending !== undefined) throw notConnected();
      room = this.#link.send(type, bytesOf(data));
    } catch (error) {
      const rejected = Promise.reject(error);
      if (error instanceof ClosedError) rejected.catch(ignore); // `close` and `status` tell it, too
      return rejected;
    }
    if (room === null) return SENT;
    room.catch(ignore);
    if (this.queuedBytes > UNREAD_MAX + this.messageSizeMax) this.#overflow();
    return signal ? abortable(room, signal) : room;
  }

  async receive({ signal, timeoutMs } = {}) {
    signal?.throwIfAborted();
    const message = this.#next() ?? (await this.#wait(signal, timeoutMs));
    if (message === null) throw notConnected();
    return message;
  }

  [Symbol.asyncIterator]() {
    return {
      next: async () => {
        const value = this.#next() ?? (await this.#wait());
        return value === null ? { value: undefined, done: true } : { value, done: false };
      },
      return: async () => ({ value: undefined, done: true }),
    };
  }

  close() {
    this.#leave((link) => link.close());
    return this.#closed;
  }

  destroy() {
    this.#leave((link) => link.destroy());
    return this.#closed;
  }

  #leave(how) {
    if (this.#link !== null) how(this.#link);
    if (this.#status === 'closed') return;
    this.#cancel.abort(notConnected());
    this.#queue = [];
    this.#ending = undefined;
    this.#finish(null);
  }

  // For clients and servers.

  /** The owner of a new link, which adopts it as `opened` says; `failed(error)` before that. */
  owner(opened, failed) {
    this.#links += 1;
    let open = false;
    return {
      connected: () => {
        open = true;
        opened();
      },
      message: (message) => this.#arrived(message),
      ended: (error) => {
        if (!open) {
          failed(error);
          return;
        }
        this.#ending = error;
        this.#handOverSoon();
      },
      released: (unsent) => {
        this.#links -= 1;
        if (unsent > 0) {
          this.#reason = new ClosedError(`${unsent} bytes could not be sent before closing: the peer did not read them.`);
        }
        this.#released();
      },
    };
  }

  /** The link is connected; from now on it is the one that sends. */
  adopt(link) {
    this.#link = link;
    this.#setStatus('connected', null);
  }

  /** The application has the connection now, and has had the time to listen to it. */
  deliver() {
    this.#held = false;
    this.#handOver();
  }

  // Messages.

  #arrived(message) {
    this.#queue.push(message);
    this.#cost += MESSAGE_COST + message.data.length;
    this.#handOverSoon();
  }

  // Not at once: an error that a listener throws is then the application's, and no message is lost by it.
  #handOverSoon() {
    if (this.#handing) return;
    this.#handing = true;
    queueMicrotask(() => {
      this.#handing = false;
      this.#handOver();
    });
  }

  #handOver() {
    if (this.#held) return;
    try {
      while (this.#queue.length > 0) {
        if (this.#receivers.length > 0) this.#receivers.shift().resolve(this.#shift());
        else if (this.listenerCount('message') > 0) this.emit('message', this.#shift());
        else break;
      }
    } finally {
      if (this.#cost >= READ_AHEAD) this.#link?.pause();
      if (this.#queue.length > 0 && this.listenerCount('message') > 0) this.#handOverSoon(); // a listener threw
    }
    if (this.#queue.length === 0 && this.#ending !== undefined) this.#linkEnded();
  }

  #shift() {
    const message = this.#queue.shift();
    this.#cost -= MESSAGE_COST + message.data.length;
    if (this.#cost < READ_AHEAD / 2) this.#link?.resume();
    return message;
  }

  /** A message that is here, or undefined; null after the end. Throws the failure, once. */
  #next() {
    if (this.listenerCount('message') > 0) {
      throw new OtherError('Messages go to the listeners of "message". Use these or receive(), not both.');
    }
    if (this.#queue.length > 0 && !this.#held) {
      const message = this.#shift();
      if (this.#queue.length === 0 && this.#ending !== undefined) setImmediate(() => this.#handOver());
      return message;
    }
    if (this.#status !== 'closed') return undefined;
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure;
    return null;
  }

  #wait(signal, timeoutMs) {
    if (this.#status === 'closed') return null;
    const limited = signal !== undefined || timeoutMs !== undefined;
    let forget = () => {};
    const waiting = new Promise((resolve, reject) => {
      const receiver = { resolve, reject };
      this.#receivers.push(receiver);
      if (limited) {
        forget = onLimit(signal, timeoutMs, (error) => {
          this.#receivers.splice(this.#receivers.indexOf(receiver), 1);
          reject(error);
        });
      }
    });
    return limited ? waiting.finally(forget) : waiting;
  }

  // The end.

  #linkEnded() {
    const error = this.#ending;
    this.#ending = undefined;
    this.#link = null;
    if (this.#relink === null || FINAL.includes(error?.errorClass)) {
      this.#finish(error);
      return;
    }
    this.#setStatus('reconnecting', error);
    if (this.#status !== 'reconnecting') return; // a listener closed it
    this.#relink(this, this.#cancel.signal).catch((reason) => this.#finish(reason));
  }

  #finish(error) {
    if (this.#status === 'closed') return;
    this.#reason = error;
    this.#failure = error;
    const receivers = this.#receivers;
    this.#receivers = [];
    if (error !== null && receivers.length > 0) {
      this.#failure = null;
      receivers.shift().reject(error);
    }
    for (const receiver of receivers) receiver.resolve(null);
    this.#setStatus('closed', error);
    setImmediate(() => this.#released());
  }

  #released() {
    if (this.#isClosed || this.#status !== 'closed' || this.#links > 0) return;
    this.#isClosed = true;
    this.#resolveClosed();
    this.emit('close', this.#reason);
  }

  #setStatus(status, error) {
    this.#status = status;
    this.emit('status', status, error);
  }

  // What a peer that does not read can cost an application that does not await send() is bounded.
  #overflow() {
    const size = this.queuedBytes;
    this.#link.destroy();
    this.#ending = new OtherError(`${size} bytes wait to be sent: the peer reads too slowly. Await each send().`);
    this.#handOverSoon();
  }
}

if (Symbol.asyncDispose) {
  Connection.prototype[Symbol.asyncDispose] = Connection.prototype.close;
}

function ignore() {}

function bytesOf(data) {
  if (typeof data === 'string') return Buffer.from(data);
  if (data instanceof Uint8Array) return data;
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw new OtherError(`The data is ${data === null ? 'null' : `a ${typeof data}`}. Send a string, a Buffer or other bytes.`);
}

/** Calls `over(error)` when the time is over or the signal aborts; returns what ends both. */
function onLimit(signal, timeoutMs, over) {
  const abort = () => over(signal.reason);
  const late = () => over(new TimeoutError(`No message came within ${timeoutMs} ms. Wait longer, or look at the peer.`));
  const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
  signal?.addEventListener('abort', abort, { once: true });
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  };
}

function abortable(promise, signal) {
  return new Promise((resolve, reject) => {
    const forget = onLimit(signal, undefined, reject);
    promise.then(resolve, reject).finally(forget);
  });
}

module.exports = { Connection };
