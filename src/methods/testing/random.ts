// Numbers for tests: a pure function of a text, so that a test reads the same in every process and on every device.
import { streamOf } from '../../engine/nn/init';
import { normal, uniform } from '../../util/random';

export const normals = (count: number, name: string, std = 1): Float32Array => Float32Array.from({ length: count }, (_, i) => std * normal(1, streamOf(name), i));

export const tokens = (count: number, vocab: number, name: string): Uint32Array => Uint32Array.from({ length: count }, (_, i) => Math.floor(uniform(2, streamOf(name), i) * vocab));
