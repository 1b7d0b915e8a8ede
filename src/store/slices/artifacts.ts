// What was written: one export a source and format, with the step it was made at.
import type { ExportRequest, ExportResult, Failure } from '../contract';

export interface ExportRecord {
  status: 'writing' | 'ready' | 'failed';
  /** Step of the run when the export was asked for; a later step makes it stale. */
  step: number;
  result: ExportResult | null;
  error: Failure | null;
}

export interface ArtifactsSlice { exports: Readonly<Record<string, ExportRecord>> }

export const initialArtifacts: ArtifactsSlice = { exports: {} };

/** Equal requests have equal keys. */
export const exportKey = ({ source, format, dtype }: ExportRequest): string => JSON.stringify([source, format, format === 'merged' ? dtype : '']);
