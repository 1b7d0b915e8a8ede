// Cholesky in double precision.
import { StudioError } from '../../../util/errors';
import { type HostMatrix, hostMatrix } from './matrix';

/** Lower L with L Lᵀ = a + jitter I, a symmetric [n, n]. Throws where a pivot is not positive. */
export function cholesky(a: HostMatrix, jitter = 0): HostMatrix {
  const n = a.rows;
  const L = hostMatrix(n, n);
  for (let j = 0; j < n; j++) {
    for (let i = j; i < n; i++) {
      let rest = (a.data[i * n + j] as number) + (i === j ? jitter : 0);
      for (let k = 0; k < j; k++) rest -= (L.data[i * n + k] as number) * (L.data[j * n + k] as number);
      if (i === j && !(rest > 0)) throw new StudioError(`cholesky: pivot ${j} of ${n} is ${rest}: the matrix is not positive definite`, 'Give a larger jitter.');
      L.data[i * n + j] = i === j ? Math.sqrt(rest) : rest / (L.data[j * n + j] as number);
    }
  }
  return L;
}
