// Node 20 lacks the iterator helpers that jax-js calls (Node 22 has them): the ones it needs, by their standard meaning.
const prototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as Record<string, unknown>;

const helpers = {
  *map<T, U>(this: Iterable<T>, change: (value: T, index: number) => U) {
    let index = 0;
    for (const value of this) yield change(value, index++);
  },
  *filter<T>(this: Iterable<T>, keep: (value: T, index: number) => boolean) {
    let index = 0;
    for (const value of this) if (keep(value, index++)) yield value;
  },
  toArray<T>(this: Iterable<T>): T[] {
    return [...this];
  },
};

for (const [name, value] of Object.entries(helpers)) {
  if (!(name in prototype)) Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
}
