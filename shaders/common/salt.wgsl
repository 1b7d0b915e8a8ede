// What the kernels of engine/joint/spectra.ts know of a layer, 14 words: first unit; r values that are scaled and shifted, q in the block;
// rows of U; where α, β, X and Y begin among the parameters; where the r values, the q values, U of either begin among what is frozen;
// where the layer's numbers of the middle matrix begin, r and then q²; number of the layer.
const SALT_WORDS = 14u;
const FIRST = 0u;
const TOP = 1u;
const REST = 2u;
const ROWS_OF_U = 3u;
const AT_ALPHA = 4u;
const AT_BETA = 5u;
const AT_X = 6u;
const AT_Y = 7u;
const AT_S_TOP = 8u;
const AT_S_REST = 9u;
const AT_U_TOP = 10u;
const AT_U_REST = 11u;
const AT_MIDDLE = 12u;
const LAYER = 13u;

// relu(z + σ) − σ on what is rectified, σ being 0 beside the diagonal.
fn rectified(z: f32, sigma: f32, free: bool) -> f32 { return select(max(z + sigma, 0.0) - sigma, z, free); }
