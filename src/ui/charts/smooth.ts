// The smoothed line: an exponential mean with its start-up bias taken out, so that the first and last values are honest.

/** Keeps its state between calls, so that a growing column costs only its new values. */
export class Smoother {
  #weight = -1;
  #used = 0;
  #lastSeen = Number.NaN;
  #mean = 0;
  #mass = 0;
  #out = new Float32Array(0);

  /** The smoothed column; `weight` of the past is 0 (none) to below 1. Values that are absent stay absent. */
  values(column: Float32Array, weight: number): Float32Array {
    const rewound = column.length < this.#used || (this.#used > 0 && !Object.is(column[this.#used - 1], this.#lastSeen));
    if (weight !== this.#weight || rewound) {
      this.#used = 0;
      this.#mean = 0;
      this.#mass = 0;
      this.#weight = weight;
    }
    if (this.#out.length < column.length) {
      const room = new Float32Array(Math.max(256, column.length * 2));
      room.set(this.#out.subarray(0, this.#used));
      this.#out = room;
    }
    for (let i = this.#used; i < column.length; i++) {
      const value = column[i] as number;
      if (!Number.isFinite(value)) {
        this.#out[i] = Number.NaN;
        continue;
      }
      this.#mean = weight * this.#mean + (1 - weight) * value;
      this.#mass = weight * this.#mass + (1 - weight);
      this.#out[i] = this.#mean / this.#mass;
    }
    this.#used = column.length;
    this.#lastSeen = column[column.length - 1] ?? Number.NaN;
    return this.#out.subarray(0, column.length);
  }
}
