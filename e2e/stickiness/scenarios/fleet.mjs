// Changes of the fleet while it is used: a fourth backend, other weights, and one backend drained. Whoever lives on the
// others notices nothing; whoever lives on the drained one keeps everything until its deadline.

import { setTimeout as pause } from 'node:timers/promises';
import { Admin } from '../lib/admin.mjs';
import { Closed, Player } from '../lib/player.mjs';
import { SESSION, User } from '../lib/user.mjs';
import { Broken, intact, sideBySide, until } from '../lib/waits.mjs';

const MANY = 20;
const NEWCOMER = 'dora';
const WEIGHTS = { anna: 5, bert: 2, cleo: 1, dora: 9 };
// In seconds.
const DRAIN = { timeout: 3, spread: 1 };
const AT_LEAST = 5;
// Between two things that one of them does: a load to be changed under, not a wait for anything.
const PACE = 20;

const SETTING = {
  admin: true,
  health: { path: '/healthz', interval: '250ms' },
  drain: { timeout: `${DRAIN.timeout}s`, spread: `${DRAIN.spread}s` },
};
// RFC 6455's registry: "Service Restart".
const SERVICE_RESTART = 1012;

/**
 * Somebody who is busy all the time, and whose work can end on a drained backend.
 * @typedef {object} Busy
 * @property {string} name
 * @property {string} home
 * @property {number} done how much it has done
 * @property {() => Promise<void>} step rejects with Broken where something was lost
 */

/** Keeps one of them busy until it is stopped, loses what it had, or something else goes wrong. */
class Work {
  /** @type {{error: Broken, at: number} | undefined} what was lost, and when */
  lost = undefined;
  #fault = undefined;
  #stopped = false;

  /** @param {Busy} busy */
  constructor(busy) {
    this.busy = busy;
    this.ended = this.#goOn();
  }

  async #goOn() {
    try {
      while (!this.#stopped) {
        await this.busy.step();
        await pause(PACE);
      }
    } catch (error) {
      if (error instanceof Broken) this.lost = { error, at: error.at ?? performance.now() };
      else this.#fault = error;
    }
  }

  /** Waits until it gets something done; rejects with what it lost. */
  async getsOn() {
    const before = this.busy.done;
    await this.#until(() => this.lost || this.busy.done >= before + AT_LEAST, 'gets on');
    if (this.lost) throw this.lost.error;
  }

  /** Waits until it has lost what it had. */
  async loses() {
    await this.#until(() => this.lost, `loses its home ${this.busy.home}`);
    return this.lost;
  }

  async stop() {
    this.#stopped = true;
    await this.ended;
    const error = this.#fault ?? this.lost?.error;
    if (error) throw error;
  }

  /** Stops without a word about how it went. */
  abandon() {
    this.#stopped = true;
  }

  #until(condition, what) {
    return until(() => {
      if (this.#fault) throw this.#fault;
      return condition();
    }, `${this.busy.name} ${what}`);
  }
}

function allGetOn(works) {
  return Promise.all(works.map((work) => work.getsOn()));
}

/**
 * The changes, in order. Returns the drained backend, the works that lived on it, and those that go on.
 * @param {import('../lib/scene.mjs').Scene} scene
 * @param {Work[]} works
 */
async function change(scene, works) {
  const admin = new Admin(scene);
  await allGetOn(works);

  await scene.addBackend(NEWCOMER);
  scene.reconfigure();
  await admin.sees(NEWCOMER, { health: 'up' });
  await allGetOn(works);

  scene.reconfigure(WEIGHTS);
  for (const [name, weight] of Object.entries(WEIGHTS)) await admin.sees(name, { weight });
  await allGetOn(works);

  const drained = works[0].busy.home;
  const leaving = works.filter(({ busy }) => busy.home === drained);
  const staying = works.filter(({ busy }) => busy.home !== drained);
  const asked = performance.now();
  await admin.drain(drained, `${DRAIN.timeout}s`);
  await allGetOn(staying);
  await Promise.all(leaving.map(async (work) => {
    const { error, at } = await work.loses();
    // The proxy counts from when it was asked, or later: what is too early here is too early by any clock.
    const kept = (DRAIN.timeout - DRAIN.spread) * 1_000;
    intact(at - asked >= kept, `${error.message} after ${Math.round(at - asked)} ms, before ${kept} ms were over`);
  }));
  await admin.drained(drained);
  await allGetOn(staying);
  return { drained, leaving, staying };
}

function stop(works) {
  return Promise.all(works.map((work) => work.stop()));
}

// === Logins ===

class Shopper {
  /** @param {User} user */
  constructor(user) {
    this.user = user;
    this.name = user.name;
    this.home = user.home;
  }

  static async signIn(scene, name) {
    const user = new User(scene, name);
    await user.visit(1);
    await user.login();
    await user.counts();
    return new Shopper(user);
  }

  get done() {
    return this.user.count;
  }

  async step() {
    await this.user.counts({ anew: this.done % 4 === 0 });
    intact(this.user.home === this.home, `${this.name}: from ${this.home} to ${this.user.home}`);
  }
}

async function shopping(scene) {
  const shoppers = await sideBySide(MANY, (n) => Shopper.signIn(scene, `user-${n}`));
  const works = shoppers.map((shopper) => new Work(shopper));
  scene.defer(() => works.forEach((work) => work.abandon()));
  const { drained, leaving, staying } = await change(scene, works);

  await Promise.all(leaving.map(async ({ busy: { user } }) => {
    await user.login();
    for (let n = 0; n < AT_LEAST; n += 1) await user.counts();
    intact(user.home !== drained, `${user.name}: signed in on ${drained}, which is drained`);
  }));
  const newcomers = await sideBySide(MANY, (n) => Shopper.signIn(scene, `late-${n}`));
  const homes = newcomers.map(({ home }) => home);
  if (homes.includes(drained)) throw new Error(`${drained} is drained and got a new session`);
  if (!homes.includes(NEWCOMER)) throw new Error(`${NEWCOMER} got none of ${MANY} new sessions`);
  await stop(staying);
}

// === Games ===

/** The knights go out and home again, so a game can last. */
const DANCE = ['Nf3', 'Nf6', 'Ng1', 'Ng8'];

class Game {
  done = 0;

  static async open(scene, room) {
    const path = `/game/${room}`;
    const game = new Game();
    game.name = room;
    game.white = await Player.join(scene, path, 'white', { seat: 'w', plies: 0 });
    game.black = await Player.join(scene, path, 'black', { seat: 'b', plies: 0 });
    game.home = game.white.home;
    return game;
  }

  get players() {
    return [this.white, this.black];
  }

  async step() {
    const { done, players } = this;
    players[done % 2].move(DANCE[done % DANCE.length]);
    await Promise.all(players.map((player) => player.sees(done + 1)));
    for (const { home, who } of players) intact(home === this.home, `${who} is on ${home}, not on ${this.home}`);
    this.done += 1;
  }
}

/** Both players are told to come again. */
async function toldToReconnect({ busy: { players } }) {
  const ends = await Promise.allSettled(players.map((player) => player.closed()));
  for (const { reason } of ends) {
    const told = reason instanceof Closed && reason.code === SERVICE_RESTART;
    if (!told) throw new Error(`not told to reconnect: ${reason.message}`);
  }
}

async function playing(scene) {
  const games = await sideBySide(MANY, (n) => Game.open(scene, `${scene.prefix}-${n}`));
  const works = games.map((game) => new Work(game));
  scene.defer(() => works.forEach((work) => work.abandon()));
  const { drained, leaving, staying } = await change(scene, works);

  await Promise.all(leaving.map(async (work) => {
    await toldToReconnect(work);
    const game = await Game.open(scene, work.busy.name);
    for (let n = 0; n < AT_LEAST; n += 1) await game.step();
    intact(game.home !== drained, `${game.name} is on ${drained}, which is drained`);
  }));
  const fresh = await sideBySide(MANY, (n) => Game.open(scene, `${scene.prefix}-late-${n}`));
  const homes = fresh.map(({ home }) => home);
  if (homes.includes(drained)) throw new Error(`${drained} is drained and got a new game`);
  if (!homes.includes(NEWCOMER)) throw new Error(`${NEWCOMER} got none of ${MANY} new games`);
  await stop(staying);
}

/** @type {import('../lib/scene.mjs').Scenario[]} */
export default [
  {
    name: 'fleet/express',
    server: 'express.mjs',
    setting: SETTING,
    sticky: { mode: 'table', key: [`cookie:${SESSION}`] },
    run: shopping,
  },
  {
    name: 'fleet/chess',
    server: 'chess.mjs',
    setting: SETTING,
    sticky: { mode: 'table', key: ['path:/game/{room}'] },
    run: playing,
  },
];
