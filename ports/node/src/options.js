// SPDX-License-Identifier: MIT
// The options of clients and servers: defaults and bounds.
'use strict';

const { OtherError } = require('./errors');
const { MESSAGE_SIZE_DEFAULT, MESSAGE_SIZE_FLOOR, TYPE_MAX, U32_MAX } = require('./codec');

const TIME_MAX = 0x7fffffff; // ms that a timer of Node can wait

const either = (...values) => ({ ok: (value) => values.includes(value), wanted: `one of ${values.join(', ')}` });
const whole = (least, most) => ({
  ok: (value) => Number.isInteger(value) && value >= least && value <= most,
  wanted: `a whole number from ${least} to ${most}`,
});
const time = { ok: (value) => value === Infinity || whole(1, TIME_MAX).ok(value), wanted: `${whole(1, TIME_MAX).wanted}, or Infinity` };
const text = { ok: (value) => typeof value === 'string' && value !== '', wanted: 'a string that is not empty' };
const truth = { ok: (value) => typeof value === 'boolean', wanted: 'true or false' };
const abort = { ok: (value) => value === undefined || value instanceof AbortSignal, wanted: 'an AbortSignal' };

const BOTH = {
  directory: ['/tmp', text],
  handshakeTimeoutMs: [10000, whole(1, TIME_MAX)],
  closeTimeoutMs: [1000, whole(1, TIME_MAX)],
  queueSizeMax: [1048576, whole(1, U32_MAX)],
  signal: [undefined, abort],
};

const CLIENT = {
  ...BOTH,
  encryption: ['required', either('required', 'optional', 'off')],
  messageSizeMax: [MESSAGE_SIZE_DEFAULT, whole(0, TYPE_MAX)],
  timeoutMs: [10000, time],
  retryIntervalMs: [500, whole(1, TIME_MAX)],
  reconnect: [false, truth],
  reconnectTimeoutMs: [Infinity, time],
  peers: ['same-user', either('same-user', 'any')],
};

const SERVER = {
  ...BOTH,
  encryption: ['on', either('on', 'off')],
  messageSizeMax: [MESSAGE_SIZE_DEFAULT, whole(MESSAGE_SIZE_FLOOR, TYPE_MAX)],
  clientsMax: [64, whole(1, U32_MAX)],
  socketMode: [0o600, whole(0, 0o777)],
};

/** Every option with its value or its default. Throws OtherError for one that is unknown or out of bounds. */
function settingsOf(table, options) {
  for (const [name, value] of Object.entries(options)) {
    const known = table[name];
    if (!known) throw new OtherError(`There is no option ${name}. The options are ${Object.keys(table).join(', ')}.`);
    if (value !== undefined && !known[1].ok(value)) {
      throw new OtherError(`The option ${name} is ${String(value)}. It has to be ${known[1].wanted}.`);
    }
  }
  return Object.fromEntries(Object.entries(table).map(([name, [usual]]) => [name, options[name] ?? usual]));
}

module.exports = {
  clientSettings: (options = {}) => settingsOf(CLIENT, options),
  serverSettings: (options = {}) => settingsOf(SERVER, options),
};
