// How pairs of texts are told apart, where nothing is said: cosines times 20, first texts looking for second ones, as
// sentence-transformers' ranking loss has it.
export const CONTRAST = { scale: 20, symmetric: false } as const;
/** Beyond this the exponential of a difference of two logits is no number any more. */
export const MOST_SCALE = 300;
