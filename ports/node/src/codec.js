// SPDX-License-Identifier: MIT
// Frames as bytes in memory (Sections 10 and 11), and the input that they are taken from.
'use strict';

const { FramingError, OtherError, ReservedTypeError, TooLargeError } = require('./errors');

const MESSAGE_SIZE_DEFAULT = 3145728;
const MESSAGE_SIZE_FLOOR = 1024;
const U32_MAX = 0xffffffff;
const TYPE_MAX = 0x7fffffff;
const LENGTH_SIZE = 4;
const PLAIN_OVERHEAD = 4;
const SEALED_OVERHEAD = 32;

const COPY_SIZE_MAX = 16384; // bytes of data from which a frame is written in parts, not copied together
const EMPTY = Buffer.alloc(0);
const PART_SIZE_FIRST = 65536; // bytes: the first memory for a body of which only a part is here
const GROWTH = 16; // of that memory, when it is full: what is not written to costs next to nothing

function u32(number) {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(number, 0);
  return bytes;
}

/** FR-004 to FR-006: judges the length of a frame, which the caller has read from the stream. */
function checkLength(length, limit, sealed) {
  const overhead = sealed ? SEALED_OVERHEAD : PLAIN_OVERHEAD;
  if (length < overhead) {
    throw new FramingError(
      `The peer sent a frame of length ${length}; the least is ${overhead}. The peer does not speak this protocol, or is broken.`,
    );
  }
  if (length > limit + overhead) {
    throw new TooLargeError(
      `The peer sent a message of ${length - overhead} bytes; the limit is ${limit}. Raise messageSizeMax here, or send less there.`,
    );
  }
}

/** MT-002, LM-008, LM-014: judges a message before it becomes a frame. `size` is in bytes. */
function checkMessage(type, size, limit, sealed) {
  if (type === 0) {
    throw new ReservedTypeError('Message type 0 is reserved. Use a type from 1 to 2147483647.');
  }
  if (!Number.isInteger(type) || type < 0 || type > U32_MAX) {
    throw new OtherError(`${String(type)} is no message type. Use an integer from 1 to 2147483647.`);
  }
  const most = Math.min(limit, U32_MAX - (sealed ? SEALED_OVERHEAD : PLAIN_OVERHEAD));
  if (size > most) {
    throw new TooLargeError(
      `The message has ${size} bytes; the limit is ${most}. Send it in parts, or raise messageSizeMax at the server.`,
    );
  }
}

/** The parts of a plain frame, with a copy of `data`, a Uint8Array. */
function plainFrame(type, data) {
  const inOne = data.length < COPY_SIZE_MAX;
  const head = Buffer.allocUnsafe(LENGTH_SIZE + PLAIN_OVERHEAD + (inOne ? data.length : 0));
  head.writeUInt32BE(PLAIN_OVERHEAD + data.length, 0);
  head.writeUInt32BE(type, LENGTH_SIZE);
  if (!inOne) return [head, Buffer.from(data)];
  head.set(data, LENGTH_SIZE + PLAIN_OVERHEAD);
  return [head];
}

/** The message in a plain body or in an opened one. `data` is a view of the same memory. */
function messageOf(body) {
  return { type: body.readUInt32BE(0), data: body.subarray(4) };
}

/**
 * Received bytes that were not used yet. What has been pushed is taken again in pieces of a known
 * size, however it arrived. A piece that lies in one chunk is a view of that chunk.
 */
class Input {
  #chunk = EMPTY;
  #at = 0;
  #part = EMPTY; // the beginning of a piece whose rest is not here
  #have = 0; // bytes of #part in use

  /** Adds a chunk. Only after take() has returned null, or at the start. */
  push(chunk) {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** Whether bytes are left of a piece that is not complete. */
  get pending() {
    return this.#have > 0 || this.#at < this.#chunk.length;
  }

  /** The next `size` bytes, or null when they are not all here. Ask for the same size then. */
  take(size) {
    const left = this.#chunk.length - this.#at;
    if (this.#have === 0 && left >= size) {
      const piece = this.#chunk.subarray(this.#at, this.#at + size);
      this.#at += size;
      return piece;
    }
    const count = Math.min(left, size - this.#have);
    if (count > 0) {
      this.#reserve(this.#have + count, size);
      this.#chunk.copy(this.#part, this.#have, this.#at, this.#at + count);
      this.#have += count;
      this.#at += count;
    }
    if (this.#have < size) {
      this.#chunk = EMPTY;
      this.#at = 0;
      return null;
    }
    const piece = this.#part.subarray(0, size);
    this.#part = EMPTY;
    this.#have = 0;
    return piece;
  }

  /** Drops everything. */
  clear() {
    this.#chunk = this.#part = EMPTY;
    this.#at = this.#have = 0;
  }

  // LM-015: the memory grows with the bytes that arrive; the length alone reserves next to nothing.
  #reserve(needed, size) {
    if (needed <= this.#part.length) return;
    const more = Math.min(size, Math.max(needed, GROWTH * this.#part.length, PART_SIZE_FIRST));
    const grown = Buffer.allocUnsafe(more);
    this.#part.copy(grown, 0, 0, this.#have);
    this.#part = grown;
  }
}

module.exports = {
  COPY_SIZE_MAX,
  MESSAGE_SIZE_DEFAULT,
  MESSAGE_SIZE_FLOOR,
  TYPE_MAX,
  U32_MAX,
  LENGTH_SIZE,
  PLAIN_OVERHEAD,
  SEALED_OVERHEAD,
  Input,
  checkLength,
  checkMessage,
  messageOf,
  plainFrame,
  u32,
};
