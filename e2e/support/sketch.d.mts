export function sketch(values: ArrayLike<number>): Float32Array<ArrayBuffer>;
