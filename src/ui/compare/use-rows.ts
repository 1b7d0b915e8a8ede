// The groups of the runs in view, with their rows: made once for all panes of the comparison.
import { useMemo } from 'react';
import { useStore } from 'zustand';
import { groupRuns, type RunGroup } from '../../store/groups';
import type { RunRecord } from '../../store/slices/runs';
import { useApp, useStudio } from '../context';
import { lastValidation } from '../shell/run-view';
import { runColor } from '../train/run-color';
import { compareState } from './compare-state';
import { type Row, rowsOf } from './rows';

export interface Comparison {
  rows: Row[];
  groups: RunGroup[];
  lossOf: (run: string) => number | null;
  colorOf: (row: Row) => string;
  /** Whether any run of the group is drawn. */
  drawn: (row: Row) => boolean;
  selected: string | null;
}

export function useRows(): Comparison {
  const { log, store } = useApp();
  const selected = useStudio((state) => state.runs.selected);
  // What a comparison shows changes with an evaluation, not with every step of the run that trains.
  const content = useStudio(({ runs, metrics: _ }) => JSON.stringify(runs.order.map((id) => {
    const run = runs.byId[id] as RunRecord;
    return [id, run.name, run.status, run.interrupted, run.tags, run.remark, run.samples.length, log.evals(id).steps.length];
  })));
  const hidden = useStudio((state) => state.layout.hiddenRuns);
  const { together, tag } = useStore(compareState);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `content` stands for the runs and their evaluations.
  return useMemo(() => {
    const { order, byId } = store.getState().runs;
    const lossOf = (run: string) => lastValidation(log, run);
    const runs = order.map((id) => byId[id] as RunRecord).filter((run) => tag === '' || run.tags.includes(tag));
    const groups = groupRuns(runs, lossOf, together);
    const rows = rowsOf(groups, log, lossOf);
    const isSelected = (row: Row) => row.group.runs.some((run) => run.id === selected);
    // One colour a row, in the order of the runs; the chosen one is the adapter's own.
    const firsts = rows.map((row) => row.group.runs[0]?.id ?? '');
    const chosen = rows.find(isSelected)?.group.runs[0]?.id ?? null;
    return {
      rows, groups, lossOf, selected,
      colorOf: (row) => runColor(firsts, chosen, row.group.runs[0]?.id ?? ''),
      drawn: (row) => isSelected(row) || row.group.runs.some((run) => !hidden.includes(run.id)),
    };
  }, [content, selected, hidden, together, tag, log, store]);
}
