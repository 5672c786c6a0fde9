// SPDX-License-Identifier: MIT
// usage: node compile.js OUTPUT_DIRECTORY < GRAMMAR.json
// Compiles a Kaitai Struct grammar to Python. NODE_PATH says where the compiler is installed.
"use strict";
const fs = require("fs");
const path = require("path");
const Compiler = require("kaitai-struct-compiler");

const compiler = typeof Compiler === "function" ? new Compiler() : Compiler;
const grammar = JSON.parse(fs.readFileSync(0, "utf8"));
compiler.compile("python", grammar, null, false).then(
  (files) => {
    for (const name of Object.keys(files)) {
      fs.writeFileSync(path.join(process.argv[2], name), files[name]);
    }
  },
  (error) => {
    console.error(String(error));
    process.exitCode = 1;
  },
);
