// MCP sessions (Streamable HTTP) in a backend's memory; the id comes with the answer to the first request.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { request } from '../lib/http.mjs';
import { Broken, intact, sideBySide, within } from '../lib/waits.mjs';

const CLIENTS = 30;
const CALLS = 5;
const LOST = [400, 404];

/** A session that a backend does not know is a broken one. */
async function known(promise) {
  try {
    return await promise;
  } catch (error) {
    throw LOST.includes(error.code) ? new Broken(error.message) : error;
  }
}

async function call(client, name) {
  const { content } = await known(client.callTool({ name }));
  return JSON.parse(content[0].text);
}

async function session(scene, name) {
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', scene.url));
  const client = new Client({ name, version: '1.0.0' });
  scene.defer(() => client.close());
  const knocked = new Promise((resolve, reject) => {
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => resolve(params.data));
    client.onerror = (error) => reject(LOST.includes(error.code) ? new Broken(error.message) : error);
  });
  knocked.catch(() => {});

  await known(client.connect(transport));
  let home;
  for (let n = 1; n <= CALLS; n += 1) {
    const { at, calls } = await call(client, 'count');
    intact(calls === n, `${name}: call ${n} was counted as ${calls} on ${at}`);
    home = at;
  }
  const [{ at }, from] = await Promise.all([call(client, 'knock'), within(knocked, `${name} is notified`)]);
  intact(at === home && from === home, `${name}: at home on ${home}, called ${at}, notified by ${from}`);

  await ends(scene, transport);
  await client.close();
  return home;
}

async function ends(scene, transport) {
  const id = transport.sessionId;
  await known(transport.terminateSession());
  const { status } = await request(`${scene.url}/mcp`, {
    method: 'POST',
    headers: { 'mcp-session-id': id, accept: 'application/json, text/event-stream' },
    json: { jsonrpc: '2.0', id: 99, method: 'tools/call', params: { name: 'count', arguments: {} } },
  });
  if (status !== 404) throw new Error(`a session that was ended answers ${status}`);
}

async function run(scene) {
  const homes = await sideBySide(CLIENTS, (n) => session(scene, `client-${n}`));
  scene.spread(homes);
}

/** @type {import('../lib/scene.mjs').Scenario[]} */
export default [
  { name: 'mcp/key', sticky: { mode: 'table', key: ['header:mcp-session-id'] } },
  { name: 'mcp/preset', sticky: { preset: 'mcp' } },
].map((scenario) => ({ ...scenario, server: 'mcp.mjs', run }));
