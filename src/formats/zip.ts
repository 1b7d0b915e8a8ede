// Several files as one download. Stored, not squeezed: float weights hardly shrink.
import { zipSync } from 'fflate';

/** Equal files give equal bytes: the date inside is the earliest that zip knows. */
export function zipFiles(files: readonly { name: string; bytes: Uint8Array }[]): Uint8Array<ArrayBuffer> {
  return zipSync(Object.fromEntries(files.map(({ name, bytes }) => [name, bytes])), { level: 0, mtime: new Date(1980, 0, 1) });
}
