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
    loadModel: (source, files) => remote.loadModel(source, files),
    loadData: (source, options, text) => remote.loadData(source, options, text),
    plan: (config) => remote.plan(config),
    start: (config, again) => remote.start(config, again),
    restore: (run, config) => remote.restore(run, config),
    forget: (run) => remote.forget(run),
    recover: () => remote.recover(),
    deviceState: () => remote.deviceState(),
    selfTest: () => remote.selfTest(),
    timeStep: (config) => remote.timeStep(config),
    pause: (run) => remote.pause(run),
    resume: (run) => remote.resume(run),
    stop: (run) => remote.stop(run),
    sample: (run, prompt, maxTokens, temperature) => remote.sample(run, prompt, maxTokens, temperature),
    exportPeft: (run) => remote.exportPeft(run),
  };
}

/** Comlink hands back an Error or, where the worker threw one, a plain Failure; both read the same here. */
export function readFailure(error: unknown): Failure {
  const given = (typeof error === 'object' && error !== null ? error : { message: String(error) }) as Partial<Failure>;
  const failure: Failure = { name: given.name ?? 'Error', message: given.message ?? String(error), hint: given.hint ?? '' };
  if (given.stack) failure.stack = given.stack;
  return failure;
}
