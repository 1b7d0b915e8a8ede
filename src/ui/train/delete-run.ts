// Deleting with a way back: the run is gone at once, its bytes only when the notice is.
import { toast } from 'sonner';
import type { StudioApp } from '../../store/app';
import type { RunRecord } from '../../store/slices/runs';
import { strings } from '../strings';

const UNDO_MS = 10_000;

export function deleteRun({ ask }: StudioApp, run: RunRecord): void {
  ask.trash(run.id);
  const purge = () => void ask.purge(run.id);
  toast(strings.train.deleted(run.name), { duration: UNDO_MS, action: { label: strings.train.undo, onClick: () => ask.untrash(run.id) }, onAutoClose: purge, onDismiss: purge });
}
