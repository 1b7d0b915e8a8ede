// Long work in small pieces: says how far it is, lets other messages in, and stops when told to.

export interface Watch {
  readonly progress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds of work between two breaths. */
const SLICE = 25;

/** Call the result after each piece of work; it waits only once in a while, and rejects with the signal's reason once that is raised. */
export function pacer({ progress, signal }: Watch = {}): (done: number, total: number) => Promise<void> {
  let last = performance.now();
  return async (done, total) => {
    signal?.throwIfAborted();
    if (done < total && performance.now() - last < SLICE) return;
    progress?.(done, total);
    await breath();
    signal?.throwIfAborted();
    last = performance.now();
  };
}

/** A turn of the event loop. Timers are held back to 4 ms when nested; a message is not. */
function breath(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
