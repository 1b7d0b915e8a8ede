// What was written from runs: one export a run, with the step it was made at.
import type { ExportResult, Failure, RunId } from '../contract';

export interface ExportRecord {
  status: 'writing' | 'ready' | 'failed';
  /** Step of the run when the export was asked for; a later step makes it stale. */
  step: number;
  result: ExportResult | null;
  error: Failure | null;
}
export interface ArtifactsSlice { exports: Readonly<Record<RunId, ExportRecord>> }

export const initialArtifacts: ArtifactsSlice = { exports: {} };
