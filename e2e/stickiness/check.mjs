// Stickiness with real clients and real servers: every application runs as three processes behind the proxy, with
// stickiness, where nobody may notice, and in turns without it, where the application must break.
//
//   npm ci
//   HOMING_BIN=../../target/debug/homing node check.mjs           (default: target/release/homing)
//   HOMING_BIN=… node check.mjs express chess/path                (only these groups and scenarios)
//   TRACE=1 HOMING_BIN=… node check.mjs mcp                       (with the stack of what failed)
//
// One line per run: `ok`, `as it must` where it breaks without stickiness, or `FAILED` and why. Exits with 1 if any
// failed. `python/…` makes a virtual environment in .venv, with Python 3 and requirements.txt.

import { Backend } from './lib/processes.mjs';
import { Scene } from './lib/scene.mjs';
import { Broken, within } from './lib/waits.mjs';
import chess from './scenarios/chess.mjs';
import cookie from './scenarios/cookie.mjs';
import express from './scenarios/express.mjs';
import fleet from './scenarios/fleet.mjs';
import mcp from './scenarios/mcp.mjs';
import python from './scenarios/python.mjs';
import socketio from './scenarios/socketio.mjs';

const SCENARIOS = [socketio, python, express, chess, mcp, cookie, fleet].flat();
const BACKENDS = ['anna', 'bert', 'cleo'];
const RUN = 45_000;

/** Runs a scenario once, and throws what went wrong. */
async function once(scenario, backends, sticky) {
  await scenario.prepare?.();
  for (const backend of backends) await backend.forget();
  const scene = await Scene.open(scenario, backends, sticky);
  try {
    await within(scenario.run(scene), 'the scenario ends', RUN);
    const complaints = (await Promise.all(scene.backends.map((backend) => backend.settled()))).flat();
    if (complaints.length > 0) throw new Error(complaints.slice(0, 3).join('; '));
  } finally {
    await scene.close();
    if (scene.proxy.faults.length > 0) throw new Error(scene.proxy.faults.join('; '));
  }
}

/** With stickiness nothing may break. */
async function sticky(scenario, backends) {
  await once(scenario, backends, scenario.sticky);
  return ['ok', ''];
}

/** Without it something must: a scenario that passes here proves nothing. */
async function inTurns(scenario, backends) {
  try {
    await once(scenario, backends, null);
  } catch (error) {
    if (error instanceof Broken) return ['as it must', error.message];
    throw error;
  }
  throw new Error('nothing breaks without stickiness');
}

/** Does it and says how it went; false if it failed. */
async function report(title, run) {
  const before = performance.now();
  const say = (verdict, why) => {
    const took = Math.round(performance.now() - before);
    console.log(`${verdict.padEnd(10)} ${title} (${took} ms)${why && ': '}${why}`);
  };
  try {
    say(...await run());
    return true;
  } catch (error) {
    say('FAILED', error.message);
    if (process.env.TRACE) console.error(error);
    return false;
  }
}

/** Runs the scenarios of one server on the same three backends: all with stickiness, then all without. */
async function onServer(server, scenarios) {
  let backends = [];
  try {
    backends = await Promise.all(BACKENDS.map((name) => Backend.start(server, name)));
    let good = true;
    for (const scenario of scenarios) {
      good = await report(scenario.name, () => sticky(scenario, backends)) && good;
    }
    for (const scenario of scenarios) {
      good = await report(`${scenario.name} without stickiness`, () => inTurns(scenario, backends)) && good;
    }
    return good;
  } finally {
    await Promise.all(backends.map((backend) => backend.stop()));
  }
}

async function main(names) {
  const fits = (name, wanted) => name === wanted || name.startsWith(`${wanted}/`);
  const unknown = names.filter((wanted) => !SCENARIOS.some(({ name }) => fits(name, wanted)));
  if (unknown.length > 0) throw new Error(`no ${unknown}; there are ${SCENARIOS.map(({ name }) => name).join(', ')}`);
  const chosen = SCENARIOS.filter(({ name }) => names.length === 0 || names.some((wanted) => fits(name, wanted)));
  let good = true;
  for (const server of new Set(chosen.map((scenario) => scenario.server))) {
    const ofServer = chosen.filter((scenario) => scenario.server === server);
    good = await onServer(server, ofServer) && good;
  }
  return good ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
