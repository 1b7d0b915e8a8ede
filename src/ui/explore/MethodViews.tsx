// A picture that a method reports of its inside, large: over time, by layer and module, row by row. Drawn from its card alone.
import { Slider } from 'radix-ui';
import { useMemo, useState } from 'react';
import type { ViewSpec } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { useApp, useStudio, useVersion } from '../context';
import { Segmented } from '../controls/Segmented';
import { count } from '../format';
import { strings } from '../strings';
import { Heatmap } from '../views/Heatmap';
import { keptTotal, largest, type Order } from '../views/heatmap';
import { Overview } from './Overview';
import { RowDetail } from './RowDetail';

export function MethodView({ run, view }: { run: RunRecord; view: ViewSpec }) {
  const { log } = useApp();
  const version = useVersion(run.id);
  const sites = useStudio((state) => state.project.model.card?.sites) ?? [];
  const [order, setOrder] = useState<Order>('model');
  const [picked, setPicked] = useState<number | null>(null);
  const [row, setRow] = useState(0);
  const snapshots = log.snapshots(run.id, view.id);
  // Null follows the newest; a chosen moment stays.
  const at = picked === null ? snapshots.length - 1 : Math.max(0, snapshots.findLastIndex((entry) => entry.step <= picked));
  const shown = snapshots[at];
  // One ramp for all moments, or a fading gate would look as bright as it was.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the version stands for the snapshots' content.
  const top = useMemo(() => snapshots.reduce((most, entry) => Math.max(most, largest(entry.data)), 0), [version]);
  return (
    <>
      <section className="pane map-pane" aria-label={view.title}>
        <div className="ph">
          <h2>{view.title}</h2>
          <span className="meta">{view.help}</span>
        </div>
        {shown ? (
          <>
            <div className="time-row">
              <span className="read">{count(keptTotal(shown.data))}<small>{strings.views.notZero(shown.data.values.length)}</small></span>
              <span className="grow" />
              <span className="num fs12">{strings.views.step(shown.step)}</span>
              <Slider.Root className="slider time-slider" min={0} max={Math.max(1, snapshots.length - 1)} step={1} value={[at]} disabled={snapshots.length < 2} onValueChange={([next = at]) => setPicked(next === snapshots.length - 1 ? null : (snapshots[next]?.step ?? null))}>
                <Slider.Track className="slider-track"><Slider.Range className="slider-range" /></Slider.Track>
                <Slider.Thumb className="slider-thumb" aria-label={strings.views.time} aria-valuetext={strings.views.step(shown.step)} />
              </Slider.Root>
            </div>
            <div className="rule" />
            <div className="map-tools">
              <span className="hint fs12">{view.rows} × {view.columns}</span>
              <Segmented label={strings.views.sort} value={order} onChange={(value) => setOrder(value as Order)} options={(['model', 'most', 'fewest'] as const).map((value) => ({ value, label: strings.views.sorts[value] }))} />
              <Ramp top={top} />
            </div>
            <div className="map-room"><Heatmap data={shown.data} title={view.title} rows={view.rows} columns={view.columns} order={order} selected={row} top={top} onSelect={setRow} /></div>
          </>
        ) : (
          <p className="pb hint">{strings.views.waiting}</p>
        )}
      </section>
      <aside className="pane map-side" aria-label={strings.views.overview}>
        {shown && <Overview data={shown.data} sites={sites} selected={row} onSelect={setRow} />}
        {shown && <RowDetail run={run} view={view} data={shown.data} row={Math.min(row, shown.data.rows.length - 1)} top={top} />}
      </aside>
    </>
  );
}

function Ramp({ top }: { top: number }) {
  return (
    <span className="legend fs11">
      <span className="hint">{strings.views.legendZero}</span>
      <span className="num">0</span><i className="ramp" /><span className="num">{top.toPrecision(2)}</span>
    </span>
  );
}
