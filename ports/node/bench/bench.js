#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// The package as a contestant of the benchmark: the command line, the workloads and the line of JSON of
// ref/bench/harness.c, in two processes as there.
'use strict';

const { spawn } = require('node:child_process');
const readline = require('node:readline');
const { connect, createServer } = require('../src');

const TYPE = 1;

function usageNow() {
  const { userCPUTime, systemCPUTime, voluntaryContextSwitches, involuntaryContextSwitches } = process.resourceUsage();
  return {
    cpu: (userCPUTime + systemCPUTime) / 1e6,
    switches: voluntaryContextSwitches + involuntaryContextSwitches,
    rss: Math.round(process.memoryUsage.rss() / 1024),
  };
}

const say = (what) => process.stdout.write(`${typeof what === 'string' ? what : JSON.stringify(what)}\n`);

/** Waits for `count` messages. */
async function receive(connection, count) {
  if (count === 0) return;
  for await (const { data } of connection) {
    void data;
    count -= 1;
    if (count === 0) return;
  }
  throw new Error('the connection has ended');
}

async function send(connection, data, count) {
  for (let sent = 0; sent < count; sent += 1) await connection.send(TYPE, data);
}

async function bounce(connection, count) {
  for (let done = 0; done < count; done += 1) await connection.send(TYPE, (await connection.receive()).data);
}

/** The child: it reports its usage on standard output. */
async function serve(run) {
  const data = Buffer.alloc(run.size, 7);
  let clients = 0;
  let before = null;
  const server = createServer(run.serverOptions, async (connection) => {
    if (run.workload === 'handshake') {
      clients += 1;
      await receive(connection, 1).catch(() => {});
      if (clients === 1) before = usageNow();
      if (clients > run.count) say({ before, after: usageNow() });
      return;
    }
    await bounce(connection, 1);
    before = usageNow();
    if (run.workload === 'oneway') {
      await receive(connection, run.count);
      await connection.send(TYPE, 'x');
    } else if (run.workload === 'back') {
      await send(connection, data, run.count);
      await receive(connection, 1);
    } else {
      await bounce(connection, run.count);
    }
    say({ before, after: usageNow() });
  });
  await server.listen(run.name);
  say('listening');
  process.stdin.on('end', () => process.exit(0)).resume();
}

async function handshakes(run) {
  const once = async () => {
    const connection = await connect(run.name, run.clientOptions);
    await connection.close();
  };
  await once();
  const before = usageNow();
  const start = performance.now();
  for (let done = 0; done < run.count; done += 1) await once();
  return { seconds: (performance.now() - start) / 1e3, before, latencies: [] };
}

async function measure(run) {
  if (run.workload === 'handshake') return handshakes(run);
  const data = Buffer.alloc(run.size, 7);
  const latencies = [];
  const connection = await connect(run.name, run.clientOptions);
  await connection.send(TYPE, data);
  await connection.receive();
  const before = usageNow();
  const start = performance.now();
  if (run.workload === 'oneway') {
    await send(connection, data, run.count);
    await receive(connection, 1);
  } else if (run.workload === 'back') {
    await receive(connection, run.count);
    await connection.send(TYPE, 'x');
  } else {
    for (let done = 0; done < run.count; done += 1) {
      const at = performance.now();
      await connection.send(TYPE, data);
      await connection.receive();
      latencies.push((performance.now() - at) * 1e3);
    }
  }
  return { seconds: (performance.now() - start) / 1e3, before, latencies };
}

function result(run, { seconds, before, latencies }, after, theirs) {
  const told = {
    messages: run.count,
    seconds,
    cpu_client_s: after.cpu - before.cpu,
    cpu_server_s: theirs.after.cpu - theirs.before.cpu,
    switches_client: after.switches - before.switches,
    switches_server: theirs.after.switches - theirs.before.switches,
    rss_client_kib: after.rss,
    rss_server_kib: theirs.after.rss,
    rss_server_before_kib: theirs.before.rss,
  };
  if (latencies.length > 0) {
    latencies.sort((a, b) => a - b);
    told.p50_us = latencies[Math.floor(latencies.length / 2)];
    told.p99_us = latencies[Math.floor((latencies.length * 99) / 100)];
  }
  return told;
}

async function main() {
  const words = process.argv.slice(2);
  const isServer = words[0] === 'serve';
  const [workload, size, count, ...options] = isServer ? words.slice(2) : words;
  const encrypted = options.includes('encrypted=1');
  const messageSizeMax = Math.max(3145728, Number(size));
  const run = {
    name: isServer ? words[1] : `node-bench-${process.pid}`,
    workload,
    size: Number(size),
    count: Number(count),
    serverOptions: { encryption: encrypted ? 'on' : 'off', messageSizeMax },
    clientOptions: { encryption: encrypted ? 'required' : 'off', messageSizeMax },
  };
  if (!['oneway', 'back', 'roundtrip', 'handshake'].includes(workload)) throw new Error(`no workload ${workload}`);
  if (isServer) {
    await serve(run);
    return;
  }
  const child = spawn(process.execPath, [__filename, 'serve', run.name, ...words], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next(); // it listens
  const mine = await measure(run);
  const after = usageNow();
  say(result(run, mine, after, JSON.parse((await lines.next()).value)));
  child.stdin.end();
  process.exitCode = 0;
  child.once('exit', () => process.exit(0));
}

main().catch((error) => {
  process.stderr.write(`bench: ${error.message}\n`);
  process.exit(1);
});
