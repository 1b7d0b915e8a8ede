// A small static server for the built page: right types, byte ranges, and the headers of public/_headers, so that the
// page runs cross-origin isolated here as where it is hosted. Node built-ins only.
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize, sep } from 'node:path';
import { Problem } from './process.mjs';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.jsonl': 'application/jsonl; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/markdown; charset=utf-8',
  '.wgsl': 'text/wgsl; charset=utf-8',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** Serves a folder on 127.0.0.1 at the port or the next free one; port 0 takes any. Resolves to its address and a way to end it. */
export async function serve(folder, port) {
  const server = createServer(handler(folder));
  await listen(server, port);
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => close(server) };
}

async function listen(server, first) {
  const last = first === 0 ? 0 : first + 50;
  for (let port = first; port <= last; port++) {
    try {
      return await new Promise((done, fail) => {
        server.once('error', fail);
        server.listen(port, '127.0.0.1', () => {
          server.off('error', fail);
          done();
        });
      });
    } catch (error) {
      if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') throw error;
    }
  }
  throw new Problem(`No free port on 127.0.0.1 from ${first} to ${last}; name another with --port.`);
}

function close(server) {
  server.closeAllConnections();
  return new Promise((done) => server.close(done));
}

function handler(folder) {
  const headers = { ...ISOLATION, ...declaredHeaders(join(folder, '_headers')), 'Cache-Control': 'no-cache' };
  return (request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, 'Only GET and HEAD are answered here.');
    const file = locate(folder, request.url);
    if (!file) return refuse(response, 404, 'Not found.');
    send(file, request, response);
  };
}

/** The `/*` block of a _headers file: indented `Name: value` lines. */
function declaredHeaders(path) {
  if (!existsSync(path)) return {};
  const headers = {};
  let applies = false;
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (/^\S/.test(line)) applies = line.trim() === '/*';
    const [, name, value] = /^\s+([\w-]+):\s*(.+?)\s*$/.exec(line) ?? [];
    if (applies && name) headers[name] = value;
  }
  return headers;
}

/** The file for a request, or '' where there is none or the path leaves the folder. */
function locate(folder, url) {
  let path;
  try {
    path = decodeURIComponent(new URL(url, 'http://localhost').pathname);
  } catch {
    return '';
  }
  if (path.includes('\0')) return '';
  const file = normalize(join(folder, path.endsWith('/') ? `${path}index.html` : path));
  if (!file.startsWith(folder + sep) || !existsSync(file) || !statSync(file).isFile()) return '';
  return file;
}

function send(file, request, response) {
  const { size } = statSync(file);
  const range = byteRange(request.headers.range, size);
  if (range === 'bad') {
    response.setHeader('Content-Range', `bytes */${size}`);
    return refuse(response, 416, 'That range is not in the file.');
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  response.statusCode = range ? 206 : 200;
  if (range) response.setHeader('Content-Range', `bytes ${start}-${end}/${size}`);
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('Content-Type', TYPES[extname(file).toLowerCase()] ?? 'application/octet-stream');
  response.setHeader('Content-Length', end - start + 1);
  if (request.method === 'HEAD' || size === 0) return response.end();
  createReadStream(file, { start, end }).on('error', () => response.destroy()).pipe(response);
}

/** `bytes=a-b`, `bytes=a-` or `bytes=-n`; null without a range that is understood, 'bad' for one outside the file. */
function byteRange(header, size) {
  const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (from === undefined || (from === '' && to === '')) return null;
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  return start > end || start >= size ? 'bad' : { start, end };
}

function refuse(response, status, text) {
  response.statusCode = status;
  response.setHeader('Content-Type', TYPES['.txt']);
  response.end(`${text}\n`);
}
