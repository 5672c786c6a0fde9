// SPDX-License-Identifier: MIT
// A session on a socket: reads, writes, and ends (Sections 12.6 and 16.0).
'use strict';

const { ClosedError, TimeoutError } = require('./errors');

const BATCH_SIZE = 65536; // bytes of small frames that go into one write
const PARTS_MAX = 1024; // of one write
const TURN_SIZE = 65536; // bytes sent in one turn of the event loop after which send() waits for the next

/**
 * The owner of a link is told, in this order: `connected()` once the handshake is complete,
 * `message(message)` for each message, `ended(error)` exactly once unless this side closed first
 * (error is null when the peer closed in order), and `released(unsent)` when nothing is left of the
 * link; unsent counts the bytes that this side wanted to send before it closed, and could not.
 */
class Link {
  #socket;
  #session;
  #owner;
  #closeTimeoutMs;
  #timer = null;
  #queue = [];
  #queued = 0; // bytes in #queue and being written
  #fresh = 0; // bytes queued in this turn of the event loop
  #writing = false;
  #flushing = false; // a flush is due in this turn of the event loop
  #waiters = new Set(); // of sends that wait for room
  #queueSizeMax;
  #state = 'handshake'; // then `open`, `leaving` (sends what is queued), `draining`, `closed`
  #paused = false;
  #heard = false; // something arrived since it was set to false
  #sendFailed = false;
  #unsent = 0;

  constructor(socket, session, settings, owner) {
    this.#socket = socket;
    this.#session = session;
    this.#owner = owner;
    this.#closeTimeoutMs = settings.closeTimeoutMs;
    this.#queueSizeMax = settings.queueSizeMax;
    this.#timer = setTimeout(() => this.#handshakeTimeout(settings), settings.handshakeTimeoutMs);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('end', () => this.#end());
    socket.on('error', () => this.#readError());
    socket.on('close', () => this.#released());
    this.#handle(session.start());
  }

  /** Whether it takes a place among the clients of a server: it does until either side begins to close. */
  get occupied() {
    return this.#state === 'handshake' || this.#state === 'open';
  }

  get session() {
    return this.#session;
  }

  get queuedBytes() {
    return this.#queued;
  }

  /**
   * Queues a message. Returns null when there is room for more, else a promise of it, which rejects
   * with ClosedError when the link ends first. Throws what speaks against the message.
   */
  send(type, data) {
    if (this.#state !== 'open' || this.#sendFailed) throw notConnected();
    this.#session.check(type, data.length);
    let frame;
    try {
      frame = this.#session.frame(type, data);
    } catch (error) {
      this.#handle(this.#session.fail(error));
      throw notConnected(error);
    }
    for (const part of frame) this.#enqueue(part);
    if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(() => this.#flush()); // after this turn's reading: what is sent in one turn is one write
    }
    if (this.#queued < this.#queueSizeMax && this.#fresh < TURN_SIZE) return null;
    return new Promise((resolve, reject) => this.#waiters.add({ resolve, reject }));
  }

  /** Reads no more until resume(); what is read already is delivered. */
  pause() {
    this.#paused = true;
    if (!this.#sendFailed) this.#socket.pause();
  }

  resume() {
    this.#paused = false;
    if (this.#state !== 'closed') this.#socket.resume();
  }

  /** Reads although it is paused, once: an end that has arrived is then seen. */
  look() {
    if (!this.#paused) return;
    this.#socket.resume();
    setImmediate(() => setImmediate(() => this.#paused && this.#socket.pause()));
  }

  /** Closes in order, for closeTimeoutMs at most. Nothing is delivered and nothing reported any more. */
  close() {
    if (this.#state === 'handshake') {
      this.destroy();
    } else if (this.#state === 'open') {
      this.#session.stop();
      this.#leave();
    }
  }

  /** Closes at once. Nothing is delivered and nothing reported any more. */
  destroy() {
    this.#session.stop();
    this.#dropOutput();
    this.#state = 'closed';
    clearTimeout(this.#timer);
    this.#socket.destroy();
  }

  // Input.

  #receive(chunk) {
    this.#heard = true;
    this.#handle(this.#session.receive(chunk));
  }

  #end() {
    this.#handle(this.#session.end());
    if (this.#state === 'draining') this.destroy();
  }

  // CL-005. Node drops what it has read ahead for a paused socket; read() still gives it.
  #readError() {
    for (let chunk = this.#socket.read(); chunk !== null; chunk = this.#socket.read()) this.#receive(chunk);
    this.#handle(this.#session.end());
  }

  #handle(events) {
    for (const one of events) {
      if (this.#state === 'closed') return;
      if (one.event === 'message') {
        if (this.#state === 'open') this.#owner.message(one.message);
      } else if (one.event === 'send') {
        this.#enqueue(one.bytes);
        this.#flush();
      } else if (one.event === 'connected') {
        this.#state = 'open';
        clearTimeout(this.#timer);
        this.#owner.connected();
      } else if (one.event === 'closed') {
        this.#leave();
        this.#owner.ended(null);
      } else {
        this.#fail(one.error);
      }
    }
  }

  #handshakeTimeout(settings) {
    const message = `The handshake was not complete after ${settings.handshakeTimeoutMs} ms.`;
    const remedy = 'The peer is busy with another client, stuck, or speaks another protocol.';
    this.#handle(this.#session.fail(new TimeoutError(`${message} ${remedy}`)));
  }

  // A reply of refusal may still be on its way out; nothing else goes out after a failure.
  #fail(error) {
    const refusing = this.#writing && this.#state === 'handshake';
    this.#dropOutput();
    this.#state = 'closed';
    clearTimeout(this.#timer);
    if (refusing) this.#timer = setTimeout(() => this.#socket.destroy(), this.#closeTimeoutMs);
    else this.#socket.destroy();
    this.#owner.ended(error);
  }

  // Output.

  #enqueue(bytes) {
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    this.#fresh += bytes.length;
  }

  #flush() {
    this.#flushing = false;
    this.#fresh = 0;
    while (!this.#writing && this.#queue.length > 0) this.#writeBatch();
    this.#settle();
  }

  // Small parts are copied together, large ones are gathered by the system: one write either way.
  #writeBatch() {
    let count = 0;
    let size = 0;
    while (count < this.#queue.length && count < PARTS_MAX && size < BATCH_SIZE) {
      size += this.#queue[count].length;
      count += 1;
    }
    const parts = this.#queue.splice(0, count);
    let returned = false;
    const done = (error) => {
      this.#writing = false;
      if (this.#state === 'closed') {
        this.#socket.destroy(); // a refusal is out now
        return;
      }
      this.#queued -= size;
      if (error) this.#writeFailed();
      else if (returned) this.#flush();
    };
    this.#writing = true;
    // Writable.write() would destroy the socket when writing fails, and with it what has arrived and was
    // not read (CL-006). The methods beneath it, which streams implement, leave the decision to us.
    if (parts.length === 1) this.#socket._write(parts[0], 'buffer', done);
    else if (size < 2 * BATCH_SIZE) this.#socket._write(Buffer.concat(parts, size), 'buffer', done);
    else this.#socket._writev(parts.map(partOf), done);
    returned = true;
  }

  #settle() {
    if (this.#waiters.size > 0 && this.#queued < this.#queueSizeMax) {
      for (const waiter of this.#waiters) waiter.resolve();
      this.#waiters.clear();
    }
    if (this.#state === 'leaving' && !this.#writing && this.#queue.length === 0) this.#drain();
  }

  #dropOutput() {
    this.#queue = [];
    this.#queued = 0;
    this.#rejectWaiters();
  }

  #rejectWaiters() {
    for (const waiter of this.#waiters) waiter.reject(notConnected());
    this.#waiters.clear();
  }

  // CL-006: what has arrived is processed first. A turn of the event loop without input says that it is.
  #writeFailed() {
    if (this.#state === 'handshake') {
      this.#handle(this.#session.end());
      return;
    }
    if (this.#state !== 'open') {
      this.#giveUp();
      return;
    }
    this.#dropOutput();
    this.#sendFailed = true;
    this.#heard = true;
    const failed = new ClosedError('Sending failed: the peer has stopped reading or has ended. Connect again.');
    const look = () => {
      if (this.#state !== 'open') return;
      if (!this.#heard) return this.#handle(this.#session.fail(failed));
      this.#heard = this.#paused; // what the application has not taken waits for it
      setImmediate(look);
    };
    this.#socket.resume();
    setImmediate(look);
  }

  // The end.

  // CL-001, CL-003: what was queued is sent first, in a bounded time.
  #leave() {
    this.#state = 'leaving';
    this.#rejectWaiters();
    this.#timer = setTimeout(() => this.#giveUp(), this.#closeTimeoutMs);
    this.#flush();
  }

  // CL-004: ends the sending direction, then drops what comes until the stream ends.
  #drain() {
    this.#state = 'draining';
    if (this.#socket.readableEnded) {
      this.destroy();
      return;
    }
    this.#socket.end();
    this.#socket.resume();
  }

  #giveUp() {
    this.#unsent = this.#queued;
    this.destroy();
  }

  #released() {
    this.#handle(this.#session.end()); // a socket that closes without an end is an end, too
    this.#state = 'closed';
    this.#dropOutput();
    clearTimeout(this.#timer);
    this.#owner.released(this.#unsent);
  }
}

function partOf(chunk) {
  return { chunk, encoding: 'buffer' };
}

function notConnected(cause) {
  return new ClosedError('There is no open connection. Connect again, or wait for the status "connected".', cause);
}

module.exports = { Link, notConnected };
