// What the explorer says of a trained adapter: plain data that crosses to the page. Every number was measured or computed from the
// adapter's own; one that could not be is absent.
import type { Cut } from './cut';

/** One adapted layer. */
export interface ExploredModule {
  site: string;
  depth: number;
  module: string;
  shape: [out: number, inn: number];
  /** Singular values of ΔW, largest first. */
  sigma: Float64Array;
  /** Of every trained rank: ‖scale·b aᵀ‖, in the order of the gates where there are any, else largest first. */
  sizes: Float64Array;
  /** |g| of every trained rank, largest first, where the method gates ranks. */
  gates?: Float64Array;
}

export interface ExploreCard {
  modules: ExploredModule[];
  /** Held-out rows that an evaluation reads, by their first words; empty where nothing is held out. */
  rows: string[];
  /** Tokens with a loss in them. */
  tokens: number;
  /** Bytes that the explorer holds on the device. */
  bytes: number;
}

/** A loss on the held-out rows. */
export interface Measured {
  /** Mean, nats a token. */
  loss: number;
  /** Mean loss of each row of the card; empty where all logits do not fit one buffer. */
  rows: Float32Array;
  seconds: number;
}

/** A text in its tokens, without the prompt. */
export type Pieces = string[];
export interface CutTexts {
  prompt: string;
  /** Base model, whole adapter at strength 1, adapter as cut: same seed, same temperature. */
  off: Pieces;
  whole: Pieces;
  cut: Pieces;
}

/** A module looked at closely. */
export interface ModuleDetail {
  /** Evenly spaced rows and columns of ΔW: entry (i, j) of a cut is Σ over its first k of left[i·r + k]·σₖ·right[k·columns + j]. */
  left: Float32Array;
  right: Float32Array;
  rows: number;
  columns: number;
  /** ‖W‖ of the frozen layer. */
  weightNorm: number;
}

/** How alike two adapters' directions are at one layer. */
export interface SiteOverlap {
  site: string;
  ranks: [a: number, b: number];
  /** ‖UₐᵀU_b‖² / min(a, b) for the first i and j directions: [a, b], row-major; left = outputs, right = inputs. */
  left: Float32Array;
  right: Float32Array;
  /** Length of the principal angles in radians, of all directions. */
  leftDistance: number;
  rightDistance: number;
  /** The same share for random directions in as many dimensions: max(a, b) / n. */
  leftChance: number;
  rightChance: number;
}
export interface OverlapCard {
  name: string;
  sites: SiteOverlap[];
  /** Layers that only one of the two adapts. */
  unmatched: string[];
}

export interface ExploreApi {
  /** Reads the adapter of a run that stands still, or of a PEFT folder for the current model and data. Closes what was open before. */
  exploreOpen(source: ExploreSource): Promise<ExploreCard>;
  /** The held-out loss of a cut. Null where a newer call of this took its place. */
  exploreEvaluate(cut: Cut): Promise<Measured | null>;
  /** Null where a newer call of this or of exploreEvaluate took its place. */
  exploreTexts(cut: Cut, prompt: string): Promise<CutTexts | null>;
  exploreDetail(module: number): Promise<ModuleDetail>;
  /** Singular values of the frozen layer, largest first; reports progress. */
  exploreWeights(module: number): Promise<Float64Array>;
  /** How much the held-out loss rises when each module by itself is left out; reports progress. Null when exploreCancel came. */
  exploreImportance(): Promise<Float64Array | null>;
  exploreOverlap(other: ExploreSource): Promise<OverlapCard>;
  exploreCancel(): Promise<void>;
}

/** A run of this visit, or the files of a PEFT folder. */
export type ExploreSource = { kind: 'run'; run: string } | { kind: 'files'; name: string; files: { name: string; file: File }[] };

/** peft: folder of PEFT · merged: whole model with the adapter folded in · gguf: adapter for llama.cpp · kohya: names of image tools. */
export type ExportFormat = 'peft' | 'merged' | 'gguf' | 'kohya';
export type ExportDtype = 'F32' | 'F16' | 'BF16';

/** The adapter of a run, or what the explorer has open, cut. */
export type ExportSource = { kind: 'run'; run: string } | { kind: 'cut'; cut: Cut };
export interface ExportRequest {
  source: ExportSource;
  format: ExportFormat;
  /** Of a merged model. */
  dtype: ExportDtype;
}
