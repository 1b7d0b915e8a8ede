// All ops: functions from tensors to tensors that record themselves onto the current graph.
export { exp, gelu, geluTanh, quickGelu, swiglu, tanh } from './activations';
export { add, axpby, copy, fill, scale } from './add';
export { type AttentionOptions, attention, positionsUpTo, rope, ropeBoth, ropeFrequencies, ropeTables, tablesOf, writeCache } from './attention';
export { addColumns, addPositions, columnDot, placeColumns, scaleColumns, sliceColumns } from './columns';
export { dropout } from './dropout';
export { embedding } from './embedding';
export { l2Norm } from './l2';
export { type Loss, crossEntropy, headLoss, positionLosses } from './loss';
export { type MatmulOptions, halfFamily, matmul, matmulFamily } from './matmul';
export { meanPool } from './mean-pool';
export { layerNorm, rmsNorm } from './norms';
export { patches } from './patches';
export { relu } from './relu';
export { reshape } from './reshape';
export { NO_SLOT, gatherRows, placeRows } from './pool';
export { inverseRowNorms, scaleRows } from './rows';
export { type Strips, coreFromStrips, stripsFromCore, stripsSize } from './strips';
