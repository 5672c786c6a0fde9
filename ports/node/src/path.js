// SPDX-License-Identifier: MIT
// From a name to the path or pipe of its endpoint, and who owns it (Section 5).
'use strict';

const fs = require('node:fs');
const { EndpointError, OtherError } = require('./errors');

const WINDOWS = process.platform === 'win32';
const PATH_SIZE_MAX = process.platform === 'linux' ? 107 : 103; // bytes of a socket path
const PIPE_SIZE_MAX = 256; // characters of a pipe name

/** EP-001 to EP-008, EP-017. Throws EndpointError with the reason `name`. */
function endpointPath(name, directory) {
  const refuse = (what) => {
    throw new EndpointError('name', `The name ${JSON.stringify(name)} ${what}. Use letters, digits, "-", "_" and ".".`);
  };
  if (typeof name !== 'string') refuse('is not a string');
  if (name === '') refuse('is empty');
  if (/[\0/]/.test(name)) refuse('holds a byte 0 or a "/"');
  if (/\p{Surrogate}/u.test(name)) refuse('cannot be encoded');
  if (WINDOWS) {
    if (name.includes('\\')) refuse('holds a "\\"');
    const pipe = `\\\\.\\pipe\\${name}`;
    if (pipe.length > PIPE_SIZE_MAX) refuse(`is longer than ${PIPE_SIZE_MAX - pipe.length + name.length} characters`);
    return pipe;
  }
  if (/\0/.test(directory) || /\p{Surrogate}/u.test(directory)) refuse('is in a directory that cannot be encoded');
  const path = `${directory}/${name}.sock`;
  const size = Buffer.byteLength(path);
  if (size > PATH_SIZE_MAX) {
    refuse(`makes the path ${size} bytes long, of which ${PATH_SIZE_MAX} fit; shorten it or its directory`);
  }
  return path;
}

/**
 * EP-024, EP-025: throws unless the socket at `path`, and the link that may stand there, belong to this
 * user or the superuser. Node cannot ask a socket which user is at its other end. Ask before connecting
 * and after: what stands there in a directory like /tmp can be exchanged only by its owner.
 */
function checkOwner(path) {
  const mine = process.geteuid();
  for (const owner of [fs.lstatSync(path).uid, fs.statSync(path).uid]) {
    if (owner !== mine && owner !== 0) {
      throw new OtherError(
        `The socket ${path} belongs to user ${owner}, not to ${mine}. Use a directory of your own, or set peers: 'any'.`,
      );
    }
  }
}

/** checkOwner() once connected. A server may have removed its socket by then. */
function checkOwnerAgain(path) {
  try {
    checkOwner(path);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

module.exports = { PATH_SIZE_MAX, WINDOWS, checkOwner, checkOwnerAgain, endpointPath };
