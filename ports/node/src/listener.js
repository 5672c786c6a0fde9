// SPDX-License-Identifier: MIT
// How a server takes its name, and gives it back (Sections 5.2 and 5.3).
'use strict';

const fs = require('node:fs/promises');
const net = require('node:net');
const nodePath = require('node:path');
const { EndpointError, GoipcError } = require('./errors');
const { PATH_SIZE_MAX, WINDOWS } = require('./path');

const BACKLOG = 128;
const TRIES = 3;
const ALIVE = 'another server listens there. Stop it, or choose another name';

/**
 * Listens at `path` and returns the net.Server, whose `close` event comes after the path is given back.
 * `isAlive(path)` says whether another server listens at the socket that stands there.
 */
async function listen(path, mode, onSocket, isAlive) {
  const server = net.createServer({ allowHalfOpen: true }, onSocket);
  try {
    if (WINDOWS) await bindPipe(server, path, isAlive);
    else server.released = await publish(server, path, mode, isAlive);
    return server;
  } catch (error) {
    if (server.listening) server.close();
    throw error instanceof GoipcError ? error : systemError(path, error);
  }
}

/** Gives the path back and stops listening. */
async function unlisten(server) {
  await server.released?.();
  await new Promise((resolve) => {
    server.close(resolve);
  });
}

function bind(server, path) {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path, backlog: BACKLOG, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

// EP-020. On Windows bind() sees a pipe that exists; Wine does not know FILE_FLAG_FIRST_PIPE_INSTANCE.
async function bindPipe(server, path, isAlive) {
  if (await isAlive(path)) throw inUse(path, ALIVE);
  await bind(server, path);
}

// EP-016: the socket is made in a directory that only this user may enter, gets its mode there, and is
// then linked to its path. link(), unlike rename(), never takes the place of another server's socket.
async function publish(server, path, mode, isAlive) {
  const directory = await fs.mkdtemp(nodePath.join(nodePath.dirname(path), '.goipc-'));
  const socket = `${directory}/s`;
  let short = null;
  try {
    short = Buffer.byteLength(socket) > PATH_SIZE_MAX ? await fs.open(directory, 'r') : null;
    // The name by its descriptor fits always; the descriptor stays open as long as that name is in use.
    await bind(server, short ? `/proc/self/fd/${short.fd}/s` : socket);
    await fs.chmod(socket, mode);
    const identity = await identityOf(socket);
    await linkTo(socket, path, `${directory}/old`, isAlive);
    return async () => {
      await giveBack(path, identity);
      await short?.close();
    };
  } catch (error) {
    await short?.close();
    throw error;
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}

async function linkTo(socket, path, aside, isAlive) {
  for (let tried = 0; tried < TRIES; tried += 1) {
    try {
      await fs.link(socket, path);
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    await removeStale(path, aside, isAlive);
  }
  throw inUse(path, 'another server is taking it');
}

// EP-010 to EP-012.
async function removeStale(path, aside, isAlive) {
  const there = await fs.lstat(path, { bigint: true }).catch(gone);
  if (there === null) return;
  if (!there.isSocket()) throw inUse(path, 'something other than a socket stands there. Remove it');
  if (await isAlive(path)) throw inUse(path, ALIVE);
  if (Number(there.uid) !== process.geteuid()) {
    throw new EndpointError('permission', `${path}: a socket of user ${there.uid} stands there. Remove it, or use another directory.`);
  }
  if ((await fs.rename(path, aside).catch(gone)) === null) return;
  if ((await identityOf(aside)) !== `${there.dev}:${there.ino}`) {
    await fs.link(aside, path); // not the one that was probed: it goes back
    throw inUse(path, 'another server is taking it');
  }
  await fs.unlink(aside);
}

// EP-014. While we listen, no other file has this identity.
async function giveBack(path, identity) {
  try {
    if ((await identityOf(path)) === identity) await fs.unlink(path);
  } catch {
    // Another process removed it, or the directory.
  }
}

async function identityOf(path) {
  const { dev, ino } = await fs.lstat(path, { bigint: true });
  return `${dev}:${ino}`;
}

function gone(error) {
  if (error.code === 'ENOENT') return null;
  throw error;
}

function inUse(path, why) {
  return new EndpointError('in-use', `${path}: ${why}.`);
}

function systemError(path, error) {
  if (error.code === 'EADDRINUSE') return inUse(path, ALIVE);
  const denied = ['EACCES', 'EPERM', 'EROFS'].includes(error.code);
  const remedy =
    {
      ENOENT: 'The directory does not exist. Make it, or choose another',
      ENOSPC: 'The disk is full. Make room, or choose another directory',
      EMFILE: 'This process has too many descriptors open. Close some, or raise the limit',
    }[error.code] ?? (denied ? 'This user may not make files there. Choose another directory' : 'Look at the cause');
  return new EndpointError(denied ? 'permission' : 'system', `${path}: ${error.message}. ${remedy}.`, error);
}

module.exports = { listen, unlisten };
