// One HTTP request, with or without a jar and a kept connection.

import http from 'node:http';
import { PATIENCE } from './waits.mjs';

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {http.IncomingHttpHeaders} headers
 * @property {string} text
 * @property {any} json undefined where the text is not JSON
 */

/**
 * Sends a request and reads the whole answer.
 * @param {string} url
 * @param {object} [options]
 * @param {string} [options.method]
 * @param {object} [options.headers]
 * @param {any} [options.json] sent as a JSON body
 * @param {import('./jar.mjs').Jar} [options.jar] sends its cookies and keeps those of the answer
 * @param {http.Agent | false} [options.agent] false: a connection of its own
 * @returns {Promise<Answer>}
 */
export function request(url, { method = 'GET', headers = {}, json, jar, agent = false } = {}) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const fields = { ...headers };
  if (jar?.header) fields.cookie = jar.header;
  if (body) Object.assign(fields, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { method, headers: fields, agent, timeout: PATIENCE }, async (response) => {
      try {
        jar?.store(response.headers['set-cookie']);
        resolve({ status: response.statusCode, headers: response.headers, ...await read(response) });
      } catch (error) {
        reject(error);
      }
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${url}: no answer within ${PATIENCE} ms`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

async function read(response) {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  try {
    return { text, json: JSON.parse(text) };
  } catch {
    return { text };
  }
}
