// SPDX-License-Identifier: MIT
// One connection without input or output: bytes in, events out (Sections 7 and 12).
'use strict';

const codec = require('./codec');
const crypto = require('./crypto');
const {
  AuthError,
  ClosedError,
  EncryptionError,
  FramingError,
  GoipcError,
  OtherError,
  VersionError,
} = require('./errors');

const VERSION = 2;
const HELLO_SIZE = 2;
const REPLY_SIZE = 1;
const ACCEPTED = 0;
const REFUSED_VERSION = 1;
const REFUSED_ENCRYPTION = 2;
const ALLOWED_FLAGS = { required: [1], optional: [0, 1], off: [0] };
const NOTHING = Buffer.alloc(0);

/**
 * The protocol of one connection. start(), receive() and end() return events, in order:
 *
 * - `{ event: 'send', bytes }`: bytes of the handshake, to be written in one write;
 * - `{ event: 'connected' }`: the handshake is complete;
 * - `{ event: 'message', message }`, where message is `{ type, data }`;
 * - `{ event: 'closed' }`: the stream ended between two frames; the last event;
 * - `{ event: 'failed', error }`: the connection has failed; the last event.
 */
class Session {
  #isServer;
  #encryption;
  #random;
  #seed;
  #input = new codec.Input();
  #events = [];
  #need = 0; // bytes that #step takes
  #step = null; // what to do with the next #need bytes
  #insideFrame = false;
  #pair = null;
  #nonces = null;
  #key = null;
  #secondKey = null; // of the dialect fixed-48, until the one moment to try it is over

  /**
   * @param role `server` or `client`.
   * @param settings `encryption` (`on`, `off`; of a client `required`, `optional`, `off`) and
   *   `messageSizeMax`, the receive limit in bytes.
   * @param random A random source; `seed` holds what a test gives instead: `privateKey`, `nonces`, `sealed`.
   */
  constructor(role, settings, random = crypto.systemRandom, seed = {}) {
    this.#isServer = role === 'server';
    this.#encryption = settings.encryption;
    this.#random = random;
    this.#seed = seed;
    this.receiveLimit = settings.messageSizeMax;
    this.sendLimit = settings.messageSizeMax; // a client learns it from LIMIT
    this.sealed = this.#isServer && settings.encryption === 'on';
    this.heard = false; // whether a byte of the peer has arrived
    this.connected = false;
    this.over = false;
  }

  start() {
    return this.#run(() => {
      if (this.#isServer) {
        this.#send(Buffer.from([VERSION, this.sealed ? 1 : 0]));
        this.#await(REPLY_SIZE, this.#helloReply);
      } else {
        this.#await(HELLO_SIZE, this.#hello);
      }
    });
  }

  /** Bytes that arrived. The session may keep views of `chunk`: do not write to it again. */
  receive(chunk) {
    if (this.over) return [];
    this.heard = true;
    this.#input.push(chunk);
    return this.#run(() => {
      let piece;
      while ((piece = this.#input.take(this.#need)) !== null) this.#step(piece);
    });
  }

  /** The stream has ended. */
  end() {
    if (this.over) return [];
    if (!this.connected) {
      return this.fail(
        new ClosedError('The peer closed the connection in the handshake. It is full, has refused us, or has ended.'),
      );
    }
    if (this.#insideFrame || this.#input.pending) {
      return this.fail(new FramingError('The stream ended inside a frame. The peer has crashed, or is broken.'));
    }
    this.stop();
    return [{ event: 'closed' }];
  }

  fail(error) {
    if (this.over) return [];
    this.stop();
    return [{ event: 'failed', error }];
  }

  /** Ends the session without an event and wipes its keys (KD-018). */
  stop() {
    this.over = true;
    this.#input.clear();
    this.#pair = null;
    this.#key?.fill(0);
    this.#secondKey?.fill(0);
  }

  /** Throws what speaks against sending such a message. `size` is in bytes. */
  check(type, size) {
    codec.checkMessage(type, size, this.sendLimit, this.sealed);
    if (type > codec.TYPE_MAX) {
      throw new OtherError(`Type ${type} may be received, not sent (MT-005). Use a type from 1 to 2147483647.`);
    }
  }

  /** The frame of a message that check() has let pass, in parts of its own memory, to be written in turn. */
  frame(type, data) {
    return this.sealed ? this.#seal(type, data) : codec.plainFrame(type, data);
  }

  #run(work) {
    this.#events = [];
    try {
      work();
    } catch (error) {
      if (!(error instanceof GoipcError)) throw error;
      this.stop();
      this.#events.push({ event: 'failed', error });
    }
    return this.#events;
  }

  #await(size, step) {
    this.#need = size;
    this.#step = step;
  }

  #send(bytes) {
    this.#events.push({ event: 'send', bytes });
  }

  // The handshake of a server.

  #helloReply([reply]) {
    if (reply === REFUSED_VERSION) {
      throw new VersionError('The client refused version 2 of the protocol. Update the client.');
    }
    if (reply === REFUSED_ENCRYPTION) {
      const flag = this.sealed ? 'an encrypted' : 'a plain';
      throw new EncryptionError(`The client refused ${flag} connection. Set encryption alike on both sides.`);
    }
    if (reply !== ACCEPTED) {
      throw new OtherError(`The client replied ${reply}, which this protocol does not have. The client is broken.`);
    }
    if (this.sealed) {
      this.#makeKeys();
      this.#send(this.#pair.public);
      this.#await(crypto.PUBLIC_SIZE, this.#clientKey);
    } else {
      this.#send(Buffer.concat([codec.u32(4), codec.u32(this.receiveLimit)]));
      this.#await(REPLY_SIZE, this.#limitReply);
    }
  }

  #clientKey(peer) {
    this.#agree(peer);
    this.#send(...this.#seal(this.receiveLimit, NOTHING));
    this.#await(REPLY_SIZE, this.#limitReply);
  }

  #limitReply() {
    this.#open(); // HS-036: every value is alike
  }

  // The handshake of a client.

  #hello([version, flag]) {
    if (version !== VERSION) {
      this.#send(Buffer.from([REFUSED_VERSION]));
      throw new VersionError(`The server speaks version ${version} of the protocol, not 2. Update the server.`);
    }
    if (!ALLOWED_FLAGS[this.#encryption].includes(flag)) {
      this.#send(Buffer.from([REFUSED_ENCRYPTION]));
      const offer = ['no encryption', 'encryption'][flag] ?? `the unknown encryption flag ${flag}`;
      throw new EncryptionError(
        `The server offers ${offer}; encryption is '${this.#encryption}' here. Set encryption alike on both sides.`,
      );
    }
    this.sealed = flag === 1;
    this.#send(Buffer.from([ACCEPTED]));
    if (this.sealed) this.#await(crypto.PUBLIC_SIZE, this.#serverKey);
    else this.#await(codec.LENGTH_SIZE, this.#limitLength);
  }

  #serverKey(peer) {
    this.#makeKeys();
    const mine = this.#pair.public;
    this.#agree(peer);
    this.#send(mine);
    this.#await(codec.LENGTH_SIZE, this.#limitLength);
  }

  #limitLength(bytes) {
    const length = bytes.readUInt32BE(0);
    const wanted = this.sealed ? codec.SEALED_OVERHEAD : codec.PLAIN_OVERHEAD;
    if (length !== wanted) {
      throw new FramingError(`The server sent a LIMIT of length ${length}, not ${wanted}. The server is broken.`);
    }
    this.#await(length, this.#limit);
  }

  #limit(body) {
    this.sendLimit = (this.sealed ? this.#openBody(body) : body).readUInt32BE(0);
    this.#forgetSecondKey(); // KD-016: a client may try it with LIMIT only
    this.#send(Buffer.from([ACCEPTED]));
    this.#open();
  }

  // Frames.

  #open() {
    this.connected = true;
    this.#events.push({ event: 'connected' });
    this.#await(codec.LENGTH_SIZE, this.#frameLength);
  }

  #frameLength(bytes) {
    const length = bytes.readUInt32BE(0);
    codec.checkLength(length, this.receiveLimit, this.sealed);
    this.#insideFrame = true;
    this.#await(length, this.#frameBody);
  }

  #frameBody(body) {
    const text = this.sealed ? this.#openBody(body) : body;
    this.#forgetSecondKey(); // KD-016: a server may try it with the first frame only
    this.#insideFrame = false;
    this.#await(codec.LENGTH_SIZE, this.#frameLength);
    const message = codec.messageOf(text);
    if (message.type !== 0) this.#events.push({ event: 'message', message });
  }

  // Keys.

  #makeKeys() {
    this.#pair = new crypto.KeyPair(this.#random, this.#seed.privateKey);
    this.#nonces = this.#seed.nonces ?? new crypto.CounterNonces(this.#random, this.#isServer, this.#seed.sealed);
  }

  #agree(peer) {
    const x = this.#pair.agree(peer);
    this.#key = crypto.deriveKey(x);
    this.#secondKey = x[0] === 0 ? crypto.deriveKeyFixed48(x) : null;
    x.fill(0);
    this.#pair = null;
  }

  #forgetSecondKey() {
    if (this.#secondKey === null) return;
    this.#secondKey.fill(0);
    this.#secondKey = null;
  }

  #seal(head, data) {
    return crypto.sealFrame(this.#key, this.#nonces.next(), head, data);
  }

  #openBody(body) {
    if (this.#nonces.isOwn(body)) {
      throw new AuthError('A frame with a nonce of ours came back. Somebody in the middle reflects what we send.');
    }
    try {
      return crypto.openBody(this.#key, body);
    } catch (error) {
      if (this.#secondKey === null) throw error;
      const text = crypto.openBody(this.#secondKey, body); // KD-013, KD-014
      [this.#key, this.#secondKey] = [this.#secondKey, this.#key]; // the other one is wiped next
      return text;
    }
  }
}

module.exports = { Session };
