// Certificates of a day, made by openssl.

import { succeed } from './processes.mjs';

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc'];

/** An authority with its own directory of files. */
export class Authority {
  /**
   * @param {import('./stage.mjs').Stage} stage
   * @param {string} name
   */
  static async make(stage, name) {
    const authority = new Authority(stage, name);
    await succeed('openssl', ['req', '-x509', ...CURVE, '-days', '1', '-subj', `/CN=${name}`,
      '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign',
      '-keyout', authority.key, '-out', authority.cert]);
    return authority;
  }

  constructor(stage, name) {
    this.stage = stage;
    this.cert = stage.path(`${name}.pem`);
    this.key = stage.path(`${name}.key`);
  }

  /**
   * Signs a certificate and a new key; a certificate of the same file name is replaced.
   * @param {string} file the beginning of both files' names
   * @param {{subject?: string, names?: string[]}} of DNS names, for servers
   * @returns {Promise<{cert: string, key: string}>} names of files
   */
  async sign(file, { subject = `/CN=${file}`, names = [] }) {
    const [cert, key, request] = ['pem', 'key', 'csr'].map((end) => this.stage.path(`${file}.${end}`));
    await succeed('openssl', ['req', ...CURVE, '-subj', subject, '-keyout', key, '-out', request]);
    const extensions = names.length > 0 ? `subjectAltName=${names.map((name) => `DNS:${name}`)}` : 'extendedKeyUsage=clientAuth';
    const extras = this.stage.file(`${file}.ext`, `${extensions}\nbasicConstraints=CA:FALSE\n`);
    await succeed('openssl', ['x509', '-req', '-in', request, '-days', '1', '-CA', this.cert, '-CAkey', this.key,
      '-CAcreateserial', '-extfile', extras, '-out', cert]);
    return { cert, key };
  }
}
