// The text of every shader in the repository, and every kernel that the engine's modules make of them.
import type { Kernel } from '../gpu/kernel';
import { kernel } from '../gpu/kernel';

const files = import.meta.glob<string>('../../../shaders/**/*.wgsl', { query: '?raw', import: 'default', eager: true });

/** Path below shaders/ without .wgsl → text as it stands in the file. */
export const SHADERS: Readonly<Record<string, string>> = Object.fromEntries(Object.entries(files).map(([path, text]) => [path.replace(/^.*shaders\/(.*)\.wgsl$/, '$1'), text]));

/** Files with an entry point; the rest, in common/, are included by them. */
export const KERNEL_FILES = Object.keys(SHADERS).filter((name) => !name.startsWith('common/'));
export const INCLUDE_FILES = Object.keys(SHADERS).filter((name) => name.startsWith('common/'));

/** The kernel of a file as it is written, without any tuning. */
export const plainKernel = (name: string): Kernel => kernel(name, SHADERS[name] as string, () => [1]);
