// Runs side by side: curves over one another, cost against loss, and one table that says what differs and by how much.
import { FlaskConical } from 'lucide-react';
import { useStore } from 'zustand';
import { toCsv, toMarkdown } from '../../store/groups';
import { useSelectedRun, useStudio } from '../context';
import { CopyButton } from '../controls/CopyLine';
import { Icon } from '../controls/Icon';
import { SelectBox } from '../controls/SelectBox';
import { openOverlay } from '../shell/overlays';
import { strings } from '../strings';
import { EmptyPanel } from '../train/EmptyPanel';
import { compareState } from './compare-state';
import { Overlay } from './Overlay';
import { Pareto } from './Pareto';
import { QueueStrip } from './QueueStrip';
import { columnsOf, fullTable, textTable } from './rows';
import { RunsTable } from './RunsTable';
import { RunWords } from './RunWords';
import { useRows } from './use-rows';

const words = strings.compare;
/** A list cannot have an entry without a value. */
const ALL = '\u0000all';

export function ComparePanel() {
  const any = useStudio((state) => state.runs.order.length > 0 || state.queue.items.length > 0);
  if (!any) return <EmptyPanel title={words.empty} text={words.emptyText} />;
  return <Comparison />;
}

function Comparison() {
  const comparison = useRows();
  const { onlyDifferences, together, tag } = useStore(compareState);
  const tags = useStudio((state) => [...new Set(state.runs.order.flatMap((id) => state.runs.byId[id]?.tags ?? []))].join('\n'));
  const run = useSelectedRun();
  const columns = columnsOf(comparison.groups, onlyDifferences, together).filter((column) => keeps(column.id, comparison, together));
  const check = (name: 'onlyDifferences' | 'together', value: boolean) => (
    <label className="check"><input type="checkbox" checked={value} onChange={(event) => compareState.setState({ [name]: event.target.checked })} />{words[name]}</label>
  );
  return (
    <main className="compare" aria-label={strings.panels.compare}>
      <Overlay comparison={comparison} />
      <Pareto comparison={comparison} />
      <section className="pane runs-pane" aria-label={words.runs}>
        <div className="ph">
          <h2>{words.runs}</h2><span className="meta">{words.chosen(comparison.rows.filter(comparison.drawn).length, comparison.rows.length)}</span>
          <span className="end tools-row">
            {tags !== '' && <span className="tag-pick"><SelectBox label={words.tag} value={tag === '' ? ALL : tag} onChange={(value) => compareState.setState({ tag: value === ALL ? '' : value })} options={[{ value: ALL, label: words.tagAll }, ...tags.split('\n').map((name) => ({ value: name, label: name }))]} /></span>}
            {check('onlyDifferences', onlyDifferences)}
            {check('together', together)}
            <CopyButton className="btn" label={words.copyMarkdown} text={toMarkdown(textTable(comparison.rows, columns))} />
            <CopyButton className="btn" label={words.copyCsv} text={toCsv(fullTable(comparison.groups, comparison.lossOf))} />
            <button type="button" className="btn primary" data-testid="new-comparison" onClick={() => openOverlay('arms')}><Icon of={FlaskConical} size={14} />{words.newComparison}</button>
          </span>
        </div>
        <QueueStrip />
        {run && <RunWords key={run.id} run={run} />}
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, by the arrow keys too. */}
        <section className="table-room" tabIndex={0} aria-label={words.runs}>
          <RunsTable comparison={comparison} columns={columns} onlyDifferences={onlyDifferences} />
          <p className="hint fs12 table-note">{words.deltaHelp}</p>
        </section>
      </section>
    </main>
  );
}

/** Columns that would be empty, or say one thing over and over, are left out. */
function keeps(id: string, { rows }: ReturnType<typeof useRows>, together: boolean): boolean {
  switch (id) {
    case 'spread': case 'seeds': return together && rows.some((row) => row.group.runs.length > 1);
    case 'status': return rows.some((row) => row.group.runs.some((run) => run.status !== 'finished'));
    case 'tags': return rows.some((row) => row.group.runs.some((run) => run.tags.length > 0));
    case 'remark': return rows.some((row) => row.run.remark !== '');
    default: return true;
  }
}
