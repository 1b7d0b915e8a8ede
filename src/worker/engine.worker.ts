// The worker's composition root: the browser's GPU, its storage, and the engine that the page talks to.
import { expose } from 'comlink';
import { browserFileStore } from './file-store';
import { browserRunStates } from './run-states';
import { createEngine } from './serve';
import { browserTuneStore } from './tune-store';

expose(createEngine(navigator.gpu, browserTuneStore, browserFileStore, browserRunStates));
