// SPDX-License-Identifier: MIT
// The errors, one class for each error class of Section 13 of the specification.
'use strict';

/**
 * What every error of this package is an instance of. `message` names the cause and the remedy,
 * `errorClass` the error class of Section 13, `code` is `ERR_GOIPC_` and the class in capitals, and
 * `cause` is the error of the system beneath, where there is one.
 */
class GoipcError extends Error {
  constructor(errorClass, message, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.errorClass = errorClass;
    this.code = `ERR_GOIPC_${errorClass.toUpperCase().replace(/-/g, '_')}`;
  }

  get name() {
    return this.constructor.name;
  }
}

function errorOf(errorClass) {
  return class extends GoipcError {
    constructor(message, cause) {
      super(errorClass, message, cause);
    }
  };
}

/** The peer speaks another version of the protocol. */
class VersionError extends errorOf('version') {}
/** One side insists on encryption and the other side does not have it, or the other way round. */
class EncryptionError extends errorOf('encryption') {}
/** The public key of the peer is not acceptable. */
class KeyError extends errorOf('key') {}
/** Something sealed does not open, or one of our own frames came back. */
class AuthError extends errorOf('auth') {}
/** A length is impossible, or the stream ended inside a frame. */
class FramingError extends errorOf('framing') {}
/** A message is larger than the limit. */
class TooLargeError extends errorOf('too-large') {}
/** The application used message type 0. */
class ReservedTypeError extends errorOf('reserved-type') {}
/** A time limit is over. */
class TimeoutError extends errorOf('timeout') {}
/** The connection has ended, or sending failed. */
class ClosedError extends errorOf('closed') {}
/** Anything else. */
class OtherError extends errorOf('other') {}

/** The endpoint cannot be used; `reason` is `name`, `in-use`, `permission` or `system`. */
class EndpointError extends OtherError {
  constructor(reason, message, cause) {
    super(message, cause);
    this.reason = reason;
  }
}

module.exports = {
  GoipcError,
  VersionError,
  EncryptionError,
  KeyError,
  AuthError,
  FramingError,
  TooLargeError,
  ReservedTypeError,
  TimeoutError,
  ClosedError,
  OtherError,
  EndpointError,
};
