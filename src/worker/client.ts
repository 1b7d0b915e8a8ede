// The page's end of the worker: starts it, wraps it with comlink, and turns whatever a call rejects with into a Failure.
import { proxy, wrap } from 'comlink';
import type { EngineApi, EngineEvent, Failure } from './protocol';

export interface EngineClient extends EngineApi {
  /** Called when the worker itself breaks: its script did not load, or threw outside any call. */
  onCrash(listener: (failure: Failure) => void): void;
}

export function connectWorker(): EngineClient {
  const worker = new Worker(new URL('./engine.worker.ts', import.meta.url), { type: 'module', name: 'engine' });
  const remote = wrap<EngineApi>(worker);
  let tellCrash: (failure: Failure) => void = () => {};
  // A call on a worker that never loaded would wait for ever; the page must hear of it another way.
  worker.addEventListener('error', (event) => {
    tellCrash({ name: 'WorkerError', message: event.message || 'The engine script could not be loaded.', hint: '' });
  });
  worker.addEventListener('messageerror', () => {
    tellCrash({ name: 'WorkerError', message: 'A message from the engine could not be read.', hint: '' });
  });
  return {
    onCrash: (listener) => {
      tellCrash = listener;
    },
    hello: (listener: (event: EngineEvent) => void) => remote.hello(proxy(listener)),
    loadModel: (source, files, weights) => remote.loadModel(source, files, weights),
    loadData: (source, options, file) => remote.loadData(source, options, file),
    cancelLoad: () => remote.cancelLoad(),
    setHub: (settings) => remote.setHub(settings),
    lookUp: (kind, name, config) => remote.lookUp(kind, name, config),
    addAdapter: (name, files) => remote.addAdapter(name, files),
    removeAdapter: (id) => remote.removeAdapter(id),
    write: (request, onText) => remote.write(request, proxy(onText)),
    stopWriting: () => remote.stopWriting(),
    look: (picture, texts, run) => remote.look(picture, texts, run),
    find: (text, run) => remote.find(text, run),
    judge: (text, run) => remote.judge(text, run),
    plan: (config) => remote.plan(config),
    start: (config, options) => remote.start(config, options),
    restore: (run, config) => remote.restore(run, config),
    kept: (run) => remote.kept(run),
    forget: (run) => remote.forget(run),
    recover: () => remote.recover(),
    deviceState: () => remote.deviceState(),
    selfTest: () => remote.selfTest(),
    timeStep: (config) => remote.timeStep(config),
    pause: (run) => remote.pause(run),
    resume: (run) => remote.resume(run),
    stop: (run) => remote.stop(run),
    sample: (run, prompt, maxTokens, temperature) => remote.sample(run, prompt, maxTokens, temperature),
    exportAs: (request) => remote.exportAs(request),
    exploreOpen: (source) => remote.exploreOpen(source),
    exploreEvaluate: (cut) => remote.exploreEvaluate(cut),
    exploreTexts: (cut, prompt) => remote.exploreTexts(cut, prompt),
    exploreDetail: (module) => remote.exploreDetail(module),
    exploreWeights: (module) => remote.exploreWeights(module),
    exploreImportance: () => remote.exploreImportance(),
    exploreOverlap: (other) => remote.exploreOverlap(other),
    exploreCancel: () => remote.exploreCancel(),
  };
}

/** Comlink hands back an Error or, where the worker threw one, a plain Failure; both read the same here. */
export function readFailure(error: unknown): Failure {
  const given = (typeof error === 'object' && error !== null ? error : { message: String(error) }) as Partial<Failure>;
  const failure: Failure = { name: given.name ?? 'Error', message: given.message ?? String(error), hint: given.hint ?? '' };
  if (given.stack) failure.stack = given.stack;
  if (given.columns) failure.columns = given.columns;
  return failure;
}
