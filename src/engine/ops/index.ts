// All ops: functions from tensors to tensors that record themselves onto the current graph.
export { geluTanh, swiglu } from './activations';
export { add, axpby, copy, fill, scale } from './add';
export { type AttentionOptions, attention, positionsUpTo, rope, ropeBoth, ropeTables, writeCache } from './attention';
export { addColumns, addPositions, columnDot, placeColumns, scaleColumns, sliceColumns } from './columns';
export { dropout } from './dropout';
export { embedding } from './embedding';
export { l1Norm } from './l1';
export { l2Norm } from './l2';
export { type Loss, crossEntropy, headLoss } from './loss';
export { type MatmulOptions, matmul, matmulFamily } from './matmul';
export { layerNorm, rmsNorm } from './norms';
export { relu } from './relu';
export { reshape } from './reshape';
