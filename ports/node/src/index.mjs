// SPDX-License-Identifier: MIT
// The same for programs that are ES modules.
import goipc from './index.js';

export const {
  connect,
  createServer,
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
} = goipc;
