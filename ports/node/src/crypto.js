// SPDX-License-Identifier: MIT
// Key agreement (Section 8) and sealing (Section 9).
'use strict';

const { createCipheriv, createDecipheriv, createECDH, createHash, randomBytes } = require('node:crypto');
const { COPY_SIZE_MAX, u32 } = require('./codec');
const { AuthError, KeyError, OtherError } = require('./errors');

const CURVE = 'secp384r1';
const CIPHER = 'aes-256-gcm';
const COORDINATE_SIZE = 48;
const PRIVATE_SIZE = 48;
const PUBLIC_SIZE = 97;
const NONCE_SIZE = 12;
const NONCE_PREFIX_SIZE = 8;
const TAG_SIZE = 16;
const SEALED_COUNT_MAX = 0xffffffff;

const P = 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n;
const N = 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n;
const B = 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn;
const ORDER = Buffer.from(N.toString(16), 'hex');
const ZERO = Buffer.alloc(PRIVATE_SIZE);

/** The system's random source: `draw(size)` gives so many bytes or throws. */
const systemRandom = { draw: (size) => randomBytes(size) };

function draw(random, size) {
  try {
    return random.draw(size);
  } catch (error) {
    throw new OtherError('The random source of the system failed. Look at the cause.', error);
  }
}

/** KD-001, KD-002: a key pair for one connection. */
class KeyPair {
  #ecdh = createECDH(CURVE);

  /** Draws the private key; a test may give `secret`, 48 bytes. The bytes of either are wiped. */
  constructor(random, secret) {
    let bytes = secret ?? draw(random, PRIVATE_SIZE);
    while (bytes.compare(ZERO) === 0 || bytes.compare(ORDER) >= 0) bytes = draw(random, PRIVATE_SIZE);
    this.#ecdh.setPrivateKey(bytes);
    bytes.fill(0);
    this.public = this.#ecdh.getPublicKey();
  }

  /** X of the shared point, 48 bytes, after every check of Section 8.3. The caller wipes it. */
  agree(peer) {
    checkPublicKey(peer);
    if (this.public.equals(peer)) {
      throw new KeyError('The peer sent our own public key back. Somebody in the middle reflects what we send.');
    }
    const x = this.#ecdh.computeSecret(peer);
    this.#ecdh = null;
    return x;
  }
}

/** KD-006 to KD-008. The values are public, so that numbers whose time depends on them do no harm. */
function checkPublicKey(bytes) {
  const refuse = (what) => {
    throw new KeyError(`The peer's public key ${what}. The peer is broken, or attacks.`);
  };
  if (bytes.length !== PUBLIC_SIZE || bytes[0] !== 4) refuse('is not an uncompressed point');
  const x = BigInt(`0x${bytes.toString('hex', 1, 1 + COORDINATE_SIZE)}`);
  const y = BigInt(`0x${bytes.toString('hex', 1 + COORDINATE_SIZE)}`);
  if (x >= P || y >= P) refuse('has a coordinate that is not below p');
  if ((y * y - (x * x * x - 3n * x + B)) % P !== 0n) refuse('is not a point on P-384');
}

/** KD-011: K from X, 48 bytes, whose leading zero bytes are not hashed. */
function deriveKey(x) {
  let at = 0;
  while (at < x.length && x[at] === 0) at += 1;
  return deriveKeyFixed48(x.subarray(at));
}

/** K of the dialect fixed-48 (Section 14.3), which hashes all bytes. */
function deriveKeyFixed48(x) {
  return createHash('sha256').update(x).digest();
}

/** SE-005: eight bytes drawn once, whose first bit tells the role, then a counter. */
class CounterNonces {
  #nonce;
  #count;

  constructor(random, isServer, count = 0) {
    const prefix = draw(random, NONCE_PREFIX_SIZE);
    this.#nonce = Buffer.alloc(NONCE_SIZE);
    prefix.copy(this.#nonce);
    this.#nonce[0] = isServer ? prefix[0] | 0x80 : prefix[0] & 0x7f;
    this.#count = count;
  }

  /** The next nonce, in memory that the next call writes again. */
  next() {
    if (this.#count >= SEALED_COUNT_MAX) {
      throw new OtherError('No nonce is left for this connection. Connect again, which makes a new key.');
    }
    this.#nonce.writeUInt32BE(this.#count, NONCE_PREFIX_SIZE);
    this.#count += 1;
    return this.#nonce;
  }

  /** SE-013: whether the body begins with a nonce of this side. */
  isOwn(body) {
    return (
      body[0] === this.#nonce[0] && body.compare(this.#nonce, 0, NONCE_PREFIX_SIZE, 0, NONCE_PREFIX_SIZE) === 0
    );
  }
}

/** The parts of a sealed frame of u32(head) and data. `head` is a type, or the limit in LIMIT. */
function sealFrame(key, nonce, head, data) {
  const cipher = createCipheriv(CIPHER, key, nonce);
  return data.length < COPY_SIZE_MAX ? sealSmall(cipher, nonce, head, data) : sealLarge(cipher, nonce, head, data);
}

function sealSmall(cipher, nonce, head, data) {
  const frame = Buffer.allocUnsafe(4 + NONCE_SIZE + 4 + data.length + TAG_SIZE);
  const text = frame.subarray(4 + NONCE_SIZE, frame.length - TAG_SIZE);
  text.writeUInt32BE(head, 0);
  text.set(data, 4);
  text.set(cipher.update(text));
  cipher.final();
  frame.writeUInt32BE(frame.length - 4, 0);
  frame.set(nonce, 4);
  frame.set(cipher.getAuthTag(), frame.length - TAG_SIZE);
  return [frame];
}

function sealLarge(cipher, nonce, head, data) {
  const start = Buffer.allocUnsafe(4 + NONCE_SIZE + 4);
  start.writeUInt32BE(NONCE_SIZE + 4 + data.length + TAG_SIZE, 0);
  start.set(nonce, 4);
  start.set(cipher.update(u32(head)), 4 + NONCE_SIZE);
  const text = cipher.update(data);
  cipher.final();
  return [start, text, cipher.getAuthTag()];
}

/** The text of a sealed body; AuthError when the tag does not fit. `body` has 28 bytes or more. */
function openBody(key, body) {
  const decipher = createDecipheriv(CIPHER, key, body.subarray(0, NONCE_SIZE));
  decipher.setAuthTag(body.subarray(body.length - TAG_SIZE));
  const text = decipher.update(body.subarray(NONCE_SIZE, body.length - TAG_SIZE));
  try {
    decipher.final();
  } catch (error) {
    text.fill(0);
    throw new AuthError(
      'A sealed frame does not open. It was changed on its way, or the peer derives another key.',
      error,
    );
  }
  return text;
}

module.exports = {
  NONCE_SIZE,
  PRIVATE_SIZE,
  PUBLIC_SIZE,
  TAG_SIZE,
  CounterNonces,
  KeyPair,
  checkPublicKey,
  deriveKey,
  deriveKeyFixed48,
  openBody,
  sealFrame,
  systemRandom,
};
