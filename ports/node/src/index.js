// SPDX-License-Identifier: MIT
// What the package offers; index.d.ts is its manual.
'use strict';

const { connect } = require('./client');
const { createServer } = require('./server');

module.exports = { connect, createServer, ...require('./errors') };
