// What the export panel writes: chosen there, or sent there by Explore.
import { create } from 'zustand';
import type { ExportDtype, ExportFormat } from '../../store/contract';

/** Files of the engine, and two that the page makes by itself. */
export type Choice = ExportFormat | 'report' | 'cluster';

interface ExportChoice {
  format: Choice;
  /** Of a merged model. */
  dtype: ExportDtype;
  /** The whole adapter, or as it is cut in Explore. */
  what: 'whole' | 'cut';
}

export const useExportChoice = create<ExportChoice>(() => ({ format: 'peft', dtype: 'F16', what: 'whole' }));

export const takeCut = () => useExportChoice.setState({ what: 'cut' });
