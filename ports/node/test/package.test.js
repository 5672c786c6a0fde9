// SPDX-License-Identifier: MIT
// The packed package as a user installs it in a fresh folder: its files, the program of the README, the
// examples, and a Go program made of the snippets of golang-ipc's own README.
'use strict';

const assert = require('node:assert/strict');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { after, before, test } = require('node:test');

const PACKAGE = path.join(__dirname, '..');
const GO_MODULE = path.join(PACKAGE, '../../conformance/adapters/go');
const EXAMPLES = ['echo_server.mjs', 'echo_client.mjs', 'gui_client.cjs'];
const LIMIT = { timeout: 120000 };

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'goipc-package-'));
let packed;

const isThere = (program, ...words) => {
  try {
    execFileSync(program, words, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const NPM = { ...LIMIT, skip: isThere('npm', '--version') ? false : 'npm is not there' };
const GO = { ...LIMIT, skip: isThere('go', 'version') && !NPM.skip ? false : 'Go or npm is not there' };

before(() => {
  if (NPM.skip) return;
  const npm = (...words) => execFileSync('npm', words, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  [packed] = JSON.parse(npm('pack', PACKAGE, '--json'));
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  npm('install', '--offline', '--no-audit', '--no-fund', path.join(folder, packed.filename));
  for (const example of EXAMPLES) fs.copyFileSync(path.join(PACKAGE, 'examples', example), path.join(folder, example));
});

after(() => fs.rmSync(folder, { recursive: true, force: true }));

const freshName = () => `node-package-${process.pid}-${Math.random().toString(36).slice(2)}`;

/** A program in the folder: `line()` gives its next line, `done` its whole output once it has ended. */
function start(t, program, ...words) {
  const child = spawn(program, words, { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    line: async () => (await lines.next()).value,
    end: async () => (child.exitCode === null ? (await once(child, 'exit'))[0] : child.exitCode),
  };
}

const node = (t, ...words) => start(t, process.execPath, ...words);

test('the package holds what it should, and needs nothing', NPM, () => {
  const files = packed.files.map((one) => one.path).sort();
  const sources = fs.readdirSync(path.join(PACKAGE, 'src')).map((one) => `src/${one}`);
  const documents = ['docs/coming-from-node-ipc-client.md'];
  const examples = EXAMPLES.map((one) => `examples/${one}`);
  const wanted = ['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json', ...sources, ...documents, ...examples];
  assert.deepEqual(files, wanted.sort());
  assert.equal(require('../package.json').dependencies, undefined);
  assert.deepEqual(fs.readdirSync(path.join(folder, 'node_modules')).filter((one) => !one.startsWith('.')), ['goipc']);
});

test('both kinds of modules offer the same', NPM, async () => {
  const program = "import * as esm from 'goipc'; import { createRequire } from 'node:module';"
    + "const cjs = createRequire(import.meta.url)('goipc');"
    + "console.log(JSON.stringify([Object.keys(esm).sort(), Object.keys(cjs).sort(), esm.connect === cjs.connect]))";
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], { cwd: folder, encoding: 'utf8' });
  const [esm, cjs, same] = JSON.parse(said);
  assert.deepEqual(esm, cjs);
  assert.ok(same && cjs.includes('connect'));
});

for (const [document, language] of [['README.md', 'js'], ['docs/coming-from-node-ipc-client.md', 'js']]) {
  test(`the program of ${document} runs as it stands`, NPM, async (t) => {
    const text = fs.readFileSync(path.join(PACKAGE, document), 'utf8');
    const program = text.match(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``))[1];
    const isModule = program.includes('import ');
    const name = freshName();
    const file = path.join(folder, isModule ? 'program.mjs' : 'program.cjs');
    fs.writeFileSync(file, program.replaceAll("'demo'", `'${name}'`)); // several runs at a time
    const server = isModule ? null : node(t, 'echo_server.mjs', name);
    await server?.line();
    const running = node(t, file);
    assert.equal(await running.line(), isModule ? 'hello' : '1 hello');
    if (isModule) assert.equal(await running.end(), 0);
  });
}

test('the examples talk to each other', NPM, async (t) => {
  const name = freshName();
  const server = node(t, 'echo_server.mjs', name);
  assert.match(await server.line(), /^listening at /);
  const client = node(t, 'echo_client.mjs', name, 'grün');
  assert.equal(await client.line(), 'grün');
  assert.equal(await client.end(), 0);
  const gui = node(t, 'gui_client.cjs', name);
  assert.equal(await gui.line(), 'connected');
  gui.child.stdin.write('one\n');
  assert.equal(await gui.line(), '1: one');
  gui.child.stdin.end();
  assert.match(await gui.line(), /^closed/);
  assert.equal(await gui.end(), 0);
});

/** A Go program of the snippets in golang-ipc's README, which are not changed but for the name. */
function goProgram(name, role) {
  const where = execFileSync('go', ['list', '-m', '-f', '{{.Dir}}', 'github.com/james-barrow/golang-ipc'], {
    cwd: GO_MODULE,
    encoding: 'utf8',
  }).trim();
  const readme = fs.readFileSync(path.join(where, 'README.md'), 'utf8');
  const snippets = [...readme.matchAll(/```go\n([^]*?)```/g)].map((one) => one[1]);
  const find = (text) => snippets.find((one) => one.includes(text));
  const begin = find(role === 'server' ? 'ipc.StartServer' : 'ipc.StartClient').replace('<name of socket or pipe>', name);
  let read = find('.Read()');
  let write = find('.Write(1');
  if (role === 'server') {
    read = read.replace('// message, err := s.Read() server', 'message, err := s.Read()').replace(/.*c\.Read\(\).*\n/, '');
    write = write.replace('//err := s.Write', 'err := s.Write').replace(/.*err := c\.Write.*\n/, '');
  }
  // The README leaves open what is done with a message: it is printed, and the first is sent when connected.
  const use = `fmt.Println(message.MsgType, message.Status, string(message.Data))\nif message.Status == "Connected" {\n${write}}\n`;
  const body = begin + read.replace('// do something with the received messages', use);
  return `package main\n\nimport (\n"fmt"\n"log"\nipc "github.com/james-barrow/golang-ipc"\n)\n\nfunc main() {\n${body}\n}\n`;
}

function buildGo(name, role) {
  const directory = fs.mkdtempSync(path.join(folder, 'go-'));
  for (const file of ['go.mod', 'go.sum']) fs.copyFileSync(path.join(GO_MODULE, file), path.join(directory, file));
  fs.writeFileSync(path.join(directory, 'main.go'), goProgram(name, role));
  execFileSync('go', ['build', '-buildvcs=false', '-o', 'program', '.'], { cwd: directory, stdio: ['ignore', 'inherit', 'inherit'] });
  return path.join(directory, 'program');
}

async function lineWith(program, text) {
  for (;;) {
    const line = await program.line();
    assert.notEqual(line, undefined, `ended without "${text}"`);
    if (line.includes(text)) return line;
  }
}

test('the Go client of golang-ipc’s README talks to the server', GO, async (t) => {
  const name = freshName();
  const program = buildGo(name, 'client');
  const server = node(t, 'echo_server.mjs', name);
  await server.line();
  const client = start(t, program);
  await lineWith(client, '-1 Connected');
  assert.equal(await lineWith(client, '<Message for server'), '1  <Message for server');
});

for (const example of ['echo_client.mjs', 'gui_client.cjs']) {
  test(`the Go server of golang-ipc’s README talks to ${example}`, GO, async (t) => {
    const name = freshName();
    const server = start(t, buildGo(name, 'server'));
    const client = node(t, example, name, 'hello from Node');
    if (example === 'gui_client.cjs') client.child.stdin.write('hello from Node\n');
    assert.match(await lineWith(client, '<Message for client'), /<Message for client/);
    assert.equal(await lineWith(server, 'hello from Node'), '1  hello from Node');
  });
}
