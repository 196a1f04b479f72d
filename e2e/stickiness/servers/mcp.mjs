// An MCP server (Streamable HTTP) with its sessions in this process's memory. `count` counts the calls of its session;
// `knock` sends a notification on the session's standalone stream, once that is open.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { NAME, serve } from './serve.mjs';

const sessions = new Map();

class Session {
  #calls = 0;
  #server = new McpServer({ name: NAME, version: '1.0.0' }, { capabilities: { logging: {} } });

  constructor() {
    this.listening = new Promise((resolve) => { this.listens = resolve; });
    this.transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => { sessions.set(id, this); },
      onsessionclosed: (id) => { sessions.delete(id); },
    });
    this.#server.registerTool('count', {}, () => {
      this.#calls += 1;
      return text({ at: NAME, calls: this.#calls });
    });
    this.#server.registerTool('knock', {}, async () => {
      await this.listening;
      const params = { level: 'info', data: NAME };
      await this.#server.server.notification({ method: 'notifications/message', params });
      return text({ at: NAME });
    });
  }

  static async open() {
    const session = new Session();
    await session.#server.connect(session.transport);
    return session;
  }
}

const text = (value) => ({ content: [{ type: 'text', text: JSON.stringify(value) }] });

function refuse(response, status, message) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ jsonrpc: '2.0', error: { code: -32001, message }, id: null }));
}

async function answer(request, response) {
  const id = request.headers['mcp-session-id'];
  const session = id ? sessions.get(id) : await Session.open();
  if (!session) return refuse(response, 404, 'Session not found');
  const handled = session.transport.handleRequest(request, response);
  if (request.method === 'GET') session.listens();
  return handled;
}

serve(createServer((request, response) => {
  answer(request, response).catch((error) => refuse(response, 500, error.message));
}));
