// A Hub of our own on this machine, for tests: the addresses, redirects, range answers and refusals that the studio relies on.
// Large files are sent from a second server, as the real one's are, and a token must never get there.
import { createServer } from 'node:http';

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, range, content-type',
  'access-control-expose-headers': 'etag, link, x-error-code, x-error-message, content-range, accept-ranges, x-linked-size, x-linked-etag, retry-after',
  'access-control-max-age': '86400',
};
/** Files from here on are stored apart. */
const LARGE = 1000;

/**
 * `repos`: by name, with the files of each by path; `kind` 'model' unless said; `token`: only with it; `gated`: only where
 * `accepted` too; `revisions`: names beside 'main' for the same files. `faults` are taken in order of time: each acts on
 * requests whose address matches, so many `times`: an answer with a `status`, or a connection cut after so many bytes.
 */
export async function startHub({ repos }) {
  const log = [];
  const faults = [];
  const cdn = createServer((request, response) => {
    log.push(`cdn ${request.method} ${request.url}${request.headers.range ? ` ${request.headers.range}` : ''}`);
    if (request.method === 'OPTIONS') return preflight(response);
    if (request.headers.authorization) return answer(response, 400, { error: 'a token does not belong here' });
    const [, repo, path] = /^\/lfs\/([^/]+\/[^/]+)\/([^?]+)/.exec(decodeURIComponent(request.url)) ?? [];
    const bytes = repos[repo]?.files[path];
    const found = fault(request);
    if (found?.status) return answer(response, found.status, {}, found.headers);
    return bytes ? send(request, response, bytes, found) : answer(response, 404, {});
  });
  const hub = createServer((request, response) => {
    log.push(`hub ${request.method} ${request.url.split('?')[0]}${request.headers.range ? ` ${request.headers.range}` : ''}`);
    if (request.method === 'OPTIONS') return preflight(response);
    const found = fault(request);
    if (found?.status) return answer(response, found.status, { error: found.error ?? 'trouble' }, found.headers);
    route(request, response, found);
  });

  function fault(request) {
    const index = faults.findIndex(({ match }) => match.test(request.url));
    if (index < 0) return null;
    const found = faults[index];
    found.times = (found.times ?? 1) - 1;
    if (found.times === 0) faults.splice(index, 1);
    return found;
  }

  function route(request, response, found) {
    const url = new URL(request.url, 'http://hub');
    const path = decodeURIComponent(url.pathname);
    const info = /^\/api\/(model|dataset)s\/(.+?)\/revision\/(.+)$/.exec(path);
    const tree = /^\/api\/(model|dataset)s\/(.+?)\/tree\/([^/]+)$/.exec(path);
    const file = /^\/(datasets\/)?([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const [kind, name, revision] = info ? info.slice(1) : tree ? tree.slice(1) : file ? [file[1] ? 'dataset' : 'model', file[2], file[3]] : [];
    const repo = repos[name];
    if (!kind) return answer(response, 404, { error: 'Not found' });
    const given = request.headers.authorization?.replace('Bearer ', '');
    if (given !== undefined && given !== 'hf_good' && given !== 'hf_other') return answer(response, 401, { error: 'Invalid credentials in Authorization header' });
    // The Hub does not say whether a repository is private or not there, unless it knows who asks.
    if (!repo || (repo.kind ?? 'model') !== kind || (repo.token && given !== repo.token)) {
      return given === undefined ? answer(response, 401, { error: 'Invalid username or password.' }, { 'x-error-code': 'RepoNotFound' }) : answer(response, 404, { error: 'Repository not found' }, { 'x-error-code': 'RepoNotFound' });
    }
    if (![repo.commit, 'main', 'HEAD', ...(repo.revisions ?? [])].includes(revision)) return answer(response, 404, { error: `Invalid rev id: ${revision}` }, { 'x-error-code': 'RevisionNotFound' });
    if (info) return answer(response, 200, { _id: '1', id: name, sha: repo.commit, private: Boolean(repo.token), gated: repo.gated ? 'manual' : false, downloads: 1, likes: 1, lastModified: '2026-01-01T00:00:00.000Z' });
    const files = Object.entries(repo.files);
    if (tree) {
      // Two pages, so that the second is asked for.
      const half = Math.ceil(files.length / 2), second = url.searchParams.get('cursor') === '2';
      const list = (second ? files.slice(half) : files.slice(0, half)).map(([at, bytes]) => ({ type: 'file', oid: '0', size: bytes.length, path: at, ...(bytes.length >= LARGE ? { lfs: { oid: '0', size: bytes.length, pointerSize: 130 } } : {}) }));
      const next = `http://${request.headers.host}${url.pathname}?recursive=true&cursor=2`;
      return answer(response, 200, list, second ? {} : { link: `<${next}>; rel="next"` });
    }
    if (repo.gated && given !== repo.accepted) return answer(response, given === undefined ? 401 : 403, { error: `Access to model ${name} is restricted.` }, { 'x-error-code': 'GatedRepo' });
    const bytes = repo.files[file[4]];
    if (!bytes) return answer(response, 404, { error: 'Entry not found' }, { 'x-error-code': 'EntryNotFound' });
    if (bytes.length < LARGE) return send(request, response, bytes, found);
    response.writeHead(302, { ...CORS, location: `http://127.0.0.1:${cdn.address().port}/lfs/${name}/${encodeURI(file[4])}?signature=1`, 'x-linked-size': String(bytes.length), 'x-linked-etag': '"0"' });
    return response.end();
  }

  const listen = (server) => new Promise((done) => server.listen(0, '127.0.0.1', done));
  await Promise.all([listen(hub), listen(cdn)]);
  const close = (server) => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return { url: `http://127.0.0.1:${hub.address().port}`, log, faults, repos, close: () => Promise.all([close(hub), close(cdn)]) };
}

function preflight(response) {
  response.writeHead(204, CORS);
  response.end();
}

function answer(response, status, json, headers = {}) {
  response.writeHead(status, { ...CORS, 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(JSON.stringify(json));
}

function send(request, response, bytes, found) {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const start = from === undefined ? 0 : Number(from), end = to ? Math.min(Number(to) + 1, bytes.length) : bytes.length;
  if (start >= bytes.length) return answer(response, 416, {}, { 'content-range': `bytes */${bytes.length}` });
  const part = bytes.subarray(start, end);
  const ranged = from !== undefined && !found?.whole;
  const body = ranged ? part : bytes;
  response.writeHead(ranged ? 206 : 200, { ...CORS, etag: '"0"', 'accept-ranges': 'bytes', 'content-length': String(body.length), ...(ranged ? { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` } : {}) });
  if (found?.cutAfter === undefined) return response.end(body);
  // A browser throws away what it has not handed on when a connection breaks: time to hand it on.
  response.write(body.subarray(0, found.cutAfter), () => setTimeout(() => response.destroy(), 300));
}
