// LU with partial pivoting of many matrices at once: two dispatches a step, one that chooses and swaps, one that eliminates everywhere.
import pivotSource from '../../../shaders/linalg/lu_pivot.wgsl?raw';
import updateSource from '../../../shaders/linalg/lu_update.wgsl?raw';
import { ConfigError } from '../../util/errors';
import type { Device } from '../gpu/device';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch } from '../tensor/graph';
import { readBytes, upload } from '../tensor/memory';
import { type HostLu, luFactors } from './host/lu';
import { type DriverOptions, type Source, drive, matrixOf } from './work';

const pivotKernel = rowFamily((LANES, ROWS) => kernel('linalg/lu_pivot', pivotSource, (p) => grid1d(ceilDiv(p.batch as number, ROWS)), { overrides: { LANES, ROWS } }));
const updateKernel = elementwise('linalg/lu_update', updateSource, 'count');

/**
 * a[permutation] = L U for every matrix [m, n], `steps` (at most min(m, n), which is the default) steps of elimination in f32 on the device;
 * see HostLu for the factors, rowsBack and unitUpper of host/lu for P L and for L D U. Throws ConfigError, DataError, ShapeError, the signal's reason.
 */
export function lu(device: Device, matrices: readonly Source[], { steps, ...options }: DriverOptions & { readonly steps?: number | undefined } = {}): Promise<HostLu[]> {
  return drive(device, 'lu', matrices, options, async (work, chunk, report) => {
    const { rows: m, columns: n, sources } = chunk;
    const batch = sources.length;
    const side = Math.min(m, n);
    const count = steps ?? side;
    if (!Number.isInteger(count) || count < 1 || count > side) throw new ConfigError(`lu: ${count} steps of a ${m} × ${n} matrix`, `Choose a whole number from 1 to ${side}.`);
    const { x, powers } = await work.load('lu', chunk);
    const permutation = upload(device, work.tensor('permutation', [batch, m], 'u32'), Uint32Array.from({ length: batch * m }, (_, i) => i % m));
    await work.perform(() => {
      for (let j = 0; j < count; j++) {
        dispatch(pivotKernel, { w: x, permutation }, { batch, m, n, j }, batch * (m - j + n));
        const trailing = batch * (m - j - 1) * (n - j - 1);
        if (trailing > 0) dispatch(updateKernel, { w: x }, { count: trailing, m, n, j }, 3 * trailing);
      }
    }, report);
    const [left, order] = [await work.read(x), new Uint32Array(await readBytes(device, permutation))];
    return sources.map((_, i) => luFactors(matrixOf(left, i, m * n).map((value) => value * (powers[i] as number)), order.slice(i * m, (i + 1) * m), m, n, count));
  });
}
