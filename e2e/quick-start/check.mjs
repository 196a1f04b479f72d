// Runs docs/quick-start.md as a reader would: saves its files, runs its commands in one shell, and compares what they
// say. Only the ports are others. HOMING_BIN names the binary.
//
// In what is expected, `…` stands for any text within a line, and on a line of its own for any lines. The width of gaps
// does not matter, nor do numbers in a block marked `text example`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PAGE = new URL('../../docs/quick-start.md', import.meta.url);
const PORTS = ['8080', '9900', '9001', '9002', '9003'];
/** Far longer than any block should take. */
const DEADLINE = 60_000;
const END = '@@end-of-block';

/** Free ports, all different: each is held until all are found. */
async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** The fenced blocks of a page in their order; a `python` or `toml` one has the name that the text before it gives. */
function blocksOf(page) {
  const fences = page.matchAll(/^```(\w+)( example)?\n(.*?)^```$/gms);
  return Array.from(fences, ({ 1: kind, 2: example, 3: text, index }) => {
    const name = page.slice(0, index).match(/[Ss]ave this as `([\w.]+)`:\s*$/)?.[1];
    return { kind, example: Boolean(example), text, name };
  });
}

/** One shell for the whole page. Everything that it starts is of its process group, and ends with it. */
class Shell {
  constructor(directory) {
    const env = { ...process.env, PATH: `${directory}/bin:${process.env.PATH}`, NO_COLOR: '1' };
    this.child = spawn('bash', ['-s'], { cwd: directory, env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
    this.said = '';
    this.child.stdout.setEncoding('utf8').on('data', (data) => { this.said += data; this.heard?.(); });
    this.child.on('exit', () => this.heard?.());
  }

  /** What a block says; its last command must not fail. */
  async run(text) {
    const end = new RegExp(`^${END} (\\d+)\\n`, 'm');
    this.child.stdin.write(`${text}\necho "${END} $?"\n`);
    const deadline = Date.now() + DEADLINE;
    let found;
    while (!(found = this.said.match(end))) {
      assert(this.child.exitCode === null && Date.now() < deadline, `does not end:\n${text}\nsaid so far: ${this.said}`);
      await new Promise((resolve) => { this.heard = resolve; setTimeout(resolve, 1000); });
    }
    const said = this.said.slice(0, found.index);
    this.said = this.said.slice(found.index + found[0].length);
    assert.equal(found[1], '0', `failed:\n${text}\n${said}`);
    return said;
  }

  kill() {
    try { process.kill(-this.child.pid, 'SIGKILL'); } catch { /* It has ended. */ }
  }
}

/** Whether what was said is what the page shows. */
function assertShown(said, { text, example }, command) {
  const even = (lines) => lines.replaceAll(/ +/g, ' ');
  const plain = (lines) => even(example ? lines.replaceAll(/\d+/g, '0') : lines);
  const literal = (part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const line = (shown) => shown === '…' ? '(?:.*\\n)*?' : `${shown.split('…').map(literal).join('.*')}\\n`;
  const expected = plain(text).trimEnd().split('\n').map(line).join('');
  assert.match(plain(said), new RegExp(`^${expected}$`), `the page shows something else for:\n${command}`);
}

const binary = process.env.HOMING_BIN;
assert(binary, 'HOMING_BIN names no binary');
const ports = await freePorts(PORTS.length);
const written = new RegExp(`\\b(?:${PORTS.join('|')})\\b`, 'g');
const page = (await readFile(PAGE, 'utf8')).replaceAll(written, (port) => ports[PORTS.indexOf(port)]);
const directory = await mkdtemp(join(tmpdir(), 'quick-start-'));
await mkdir(join(directory, 'bin'));
await symlink(binary, join(directory, 'bin/homing'));
const shell = new Shell(directory);
let [commands, compared] = [0, 0];
try {
  let last;
  for (const block of blocksOf(page)) {
    if (block.name) {
      await writeFile(join(directory, block.name), block.text);
    } else if (block.kind === 'sh') {
      last = { command: block.text, said: await shell.run(block.text) };
      commands += 1;
    } else if (block.kind === 'text') {
      assertShown(last.said, block, last.command);
      compared += 1;
    }
  }
  assert(commands >= 12 && compared >= 10, `only ${commands} blocks run and ${compared} compared`);
  console.log(`ok: ${commands} blocks of commands run, ${compared} of what they say compared`);
} finally {
  shell.kill();
  await rm(directory, { recursive: true, force: true });
}
