// SPDX-License-Identifier: MIT
/// <reference types="node" />
import { EventEmitter } from 'node:events';

/** Bytes to be sent. A string is sent as UTF-8. */
export type Data = string | ArrayBuffer | NodeJS.ArrayBufferView;

/** A received message. */
export interface Message {
  /** 1 to 4294967295. */
  readonly type: number;
  /** The application's own; it may be kept. It may be a view of a larger buffer of up to 64 KiB. */
  readonly data: Buffer;
}

/**
 * - `connecting`: not connected yet;
 * - `connected`: messages can be sent;
 * - `reconnecting`: the connection is lost, and a client with `reconnect` tries again;
 * - `closed`: for good.
 */
export type Status = 'connecting' | 'connected' | 'reconnecting' | 'closed';

/** What servers and clients are told. Times are in milliseconds, sizes in bytes. */
export interface CommonOptions {
  /** The directory of the socket; not on Windows. Default: `/tmp`, as golang-ipc. */
  directory?: string | undefined;
  /** The largest data of a message that is received. Default: 3145728. */
  messageSizeMax?: number | undefined;
  /** How long a handshake may take. Default: 10000. */
  handshakeTimeoutMs?: number | undefined;
  /** How long `close()` goes on sending what is queued. Default: 1000. */
  closeTimeoutMs?: number | undefined;
  /** Bytes queued for one connection from which `send()` waits. Default: 1048576. */
  queueSizeMax?: number | undefined;
  /** Aborting it ends the attempt to connect or to listen, and later closes what came of it. */
  signal?: AbortSignal | undefined;
}

export interface ClientOptions extends CommonOptions {
  /** Default: `required`. `optional` takes what the server offers; `off` refuses encryption. */
  encryption?: 'required' | 'optional' | 'off' | undefined;
  /** How long connecting may take, all attempts together; `Infinity`: no limit. Default: 10000. */
  timeoutMs?: number | undefined;
  /** The longest pause between two attempts; the first ones are shorter. Default: 500. */
  retryIntervalMs?: number | undefined;
  /** Whether to connect again after the connection was lost. Default: false. */
  reconnect?: boolean | undefined;
  /** How long connecting again may take, each time. Default: `Infinity`. */
  reconnectTimeoutMs?: number | undefined;
  /**
   * Whose servers to talk to; not on Windows. `same-user`, the default: the socket in the file system
   * belongs to the user of this process or to the superuser. `any`: whoever owns it.
   */
  peers?: 'same-user' | 'any' | undefined;
}

export interface ServerOptions extends CommonOptions {
  /** Default: `on`. */
  encryption?: 'on' | 'off' | undefined;
  /** Clients served at a time; further ones are turned away. Default: 64. */
  clientsMax?: number | undefined;
  /**
   * The permission bits of the socket, which say who may connect; not on Windows. Default: 0o600, this
   * user and the superuser. 0o777 is golang-ipc's UnmaskPermissions.
   */
  socketMode?: number | undefined;
}

export interface WaitOptions {
  /** Aborting it ends the wait; the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export interface ReceiveOptions extends WaitOptions {
  /** How long to wait, in milliseconds; then the promise rejects with TimeoutError. Default: for ever. */
  timeoutMs?: number | undefined;
}

/** The events of a connection. */
export interface ConnectionEvents {
  /** A message. While there is a listener, `receive()` and `for await` are refused. */
  message: [message: Message];
  /** The status has changed; `error` says why the connection is lost, null when the peer closed in order. */
  status: [status: Status, error: GoipcError | null];
  /**
   * Nothing is left of the connection. `error` is its failure, or says that bytes could not be sent before
   * closing; else null. There is no event `error`: a peer must not be able to end a program.
   */
  close: [error: GoipcError | null];
}

/**
 * A connection. Messages go to the listeners of `message`, if there are any; else they wait for `for await`
 * and `receive()`, and when more than 256 KiB wait, the peer has to wait, too.
 */
export interface Connection extends EventEmitter, AsyncIterable<Message> {
  readonly status: Status;
  /** Whether messages are encrypted. Encryption does not authenticate the peer. */
  readonly encrypted: boolean;
  /** The largest data that can be sent, in bytes: what the server announced. */
  readonly messageSizeMax: number;
  /** Bytes that wait to be sent. */
  readonly queuedBytes: number;

  /**
   * Sends a message.
   *
   * @param type 1 to 2147483647.
   * @param data At most `messageSizeMax` bytes, which are copied. Default: empty.
   * @returns A promise that resolves when there is room for the next message. It does not say that the
   *   peer has received this one. It rejects with ClosedError without an open connection,
   *   ReservedTypeError for type 0, TooLargeError above the limit, OtherError for other types and for what
   *   is no data, and with the signal's reason; after the last one the message may have been sent.
   *
   * Await it. A connection for which 64 MiB are queued fails with OtherError.
   */
  send(type: number, data?: Data, options?: WaitOptions): Promise<void>;

  /**
   * The next message. Rejects with the failure of the connection, once; with ClosedError after its end;
   * with TimeoutError; with the signal's reason. A wait that ended early takes no message.
   */
  receive(options?: ReceiveOptions): Promise<Message>;

  /** Ends when the connection has ended in order; throws its failure. Leaving the loop closes nothing. */
  [Symbol.asyncIterator](): AsyncIterator<Message>;

  /**
   * Closes in order: sends what is queued, for `closeTimeoutMs` at most. Messages that were not fetched are
   * dropped. Resolves when nothing is left; never rejects. May be called at any time, more than once.
   */
  close(): Promise<void>;

  /** Closes at once; what is queued is lost. */
  destroy(): Promise<void>;

  on<K extends keyof ConnectionEvents>(event: K, listener: (...args: ConnectionEvents[K]) => void): this;
  once<K extends keyof ConnectionEvents>(event: K, listener: (...args: ConnectionEvents[K]) => void): this;
  off<K extends keyof ConnectionEvents>(event: K, listener: (...args: ConnectionEvents[K]) => void): this;
}

/** The events of a server. */
export interface ServerEvents {
  /**
   * A client failed: in the handshake (`connection` is null), or later, when the function that was called
   * with its connection rejected with a GoipcError. Nothing has to be done about it.
   */
  clientError: [error: GoipcError, connection: Connection | null];
  /** The function that was called with `connection` rejected with an error that is no GoipcError. */
  error: [error: unknown, connection: Connection];
  /** The server has closed. */
  close: [];
}

export interface Server extends EventEmitter {
  /** The path of the socket or the name of the pipe; null before `listen()`. */
  readonly path: string | null;
  /** The connections that are open, or whose messages wait to be fetched; a copy. */
  readonly connections: Set<Connection>;

  /**
   * Takes the name and listens. Rejects with EndpointError: `reason` is `name` for a name that cannot be
   * used, `in-use` when something stands at the path or a server listens there, `permission`, or `system`.
   */
  listen(name: string): Promise<this>;

  /** Gives the name back and closes every connection in order. Never rejects. */
  close(): Promise<void>;

  on<K extends keyof ServerEvents>(event: K, listener: (...args: ServerEvents[K]) => void): this;
  once<K extends keyof ServerEvents>(event: K, listener: (...args: ServerEvents[K]) => void): this;
  off<K extends keyof ServerEvents>(event: K, listener: (...args: ServerEvents[K]) => void): this;
}

/** Called with each connection once its handshake is complete. A promise that rejects closes the connection. */
export type ConnectionHandler = (connection: Connection) => void | Promise<void>;

/**
 * Connects to a server of this protocol.
 *
 * Tries again while the server does not exist, refuses, or is full. Rejects with TimeoutError when
 * `timeoutMs` is over (its `cause` is the last error); with VersionError, EncryptionError, KeyError,
 * AuthError, FramingError or ClosedError when the handshake failed; with EndpointError for a name that
 * cannot be used or a socket that this user may not open; with OtherError for a socket of another user
 * and for options that do not exist; with the signal's reason.
 */
export function connect(name: string, options?: ClientOptions): Promise<Connection>;

/** Makes a server, which does nothing before `listen(name)`. Throws OtherError for options that do not exist. */
export function createServer(options: ServerOptions, onConnection: ConnectionHandler): Server;
export function createServer(onConnection: ConnectionHandler): Server;

/** The error classes of Section 13.1 of the specification. */
export type ErrorClass =
  | 'version'
  | 'encryption'
  | 'key'
  | 'auth'
  | 'framing'
  | 'too-large'
  | 'reserved-type'
  | 'timeout'
  | 'closed'
  | 'other';

/** What every error of this package is. `message` names the cause and the remedy. */
export class GoipcError extends Error {
  readonly errorClass: ErrorClass;
  /** `ERR_GOIPC_` and the error class in capitals, with `_` for `-`. */
  readonly code: string;
  /** The error of the system beneath, where there is one. */
  readonly cause?: unknown;
  protected constructor(errorClass: ErrorClass, message: string, cause?: unknown);
}

/** The peer speaks another version of the protocol. */
export class VersionError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** One side insists on encryption and the other side does not have it, or the other way round. */
export class EncryptionError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** The public key of the peer is not acceptable. */
export class KeyError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** Something sealed does not open, or one of our own frames came back. */
export class AuthError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** A length is impossible, or the stream ended inside a frame. */
export class FramingError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** A message is larger than the limit. */
export class TooLargeError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** The application used message type 0. */
export class ReservedTypeError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** A time limit is over. */
export class TimeoutError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** The connection has ended, or sending failed. */
export class ClosedError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** Anything else. */
export class OtherError extends GoipcError {
  constructor(message: string, cause?: unknown);
}
/** The endpoint cannot be used. */
export class EndpointError extends OtherError {
  readonly reason: 'name' | 'in-use' | 'permission' | 'system';
}
