// How alike this adapter's directions are to another's, layer by layer, beside what chance would give.
import { useState } from 'react';
import type { OverlapCard, SiteOverlap } from '../../store/contract';
import { isActive } from '../../store/slices/runs';
import { useApp, useStudio } from '../context';
import { FailureBanner } from '../controls/FailureBanner';
import { Segmented } from '../controls/Segmented';
import { SelectBox } from '../controls/SelectBox';
import { columnName } from '../build/site-table';
import { strings } from '../strings';
import { folderOf } from './OpenFiles';
import { useExplore } from './use-explore';

const words = strings.explore;
type Side = 'left' | 'right';
const NONE = 'none';

export function Overlap() {
  const { explore } = useApp();
  const runs = useStudio((state) => state.runs);
  const source = useExplore((state) => state.source);
  const overlap = useExplore((state) => state.overlap);
  const [side, setSide] = useState<Side>('left');
  const others = runs.order.filter((id) => id !== source?.run && (runs.byId[id]?.step ?? 0) > 0 && (!isActive(runs.byId[id]?.status ?? 'running') || runs.byId[id]?.status === 'paused'));
  return (
    <div className="ab overlap">
      <p className="fs12 dim">{words.overlapText}</p>
      {others.length > 0 ? (
        <SelectBox
          label={words.overlapWith} value={others.find((id) => runs.byId[id]?.name === overlap?.name) ?? NONE} testid="overlap-with"
          options={[{ value: NONE, label: words.overlapChoose }, ...others.map((id) => ({ value: id, label: runs.byId[id]?.name ?? id }))]}
          onChange={(id) => id !== NONE && void explore.overlap({ kind: 'run', run: id }, runs.byId[id]?.name ?? id)}
        />
      ) : <p className="hint fs12">{words.overlapNone}</p>}
      <OverlapFiles />
      {overlap?.status === 'reading' && <p className="hint fs12" role="status">{words.overlapReading}</p>}
      {overlap?.error && <FailureBanner title={words.overlapFailed} failure={overlap.error} />}
      {overlap?.card && <Found card={overlap.card} name={overlap.name} side={side} onSide={setSide} />}
    </div>
  );
}

function OverlapFiles() {
  const { explore } = useApp();
  return (
    <label className="btn file-label">
      {words.overlapFiles}
      <input
        type="file" className="vh" multiple {...{ webkitdirectory: '' }} data-testid="overlap-files"
        onChange={(event) => {
          const folder = folderOf([...(event.target.files ?? [])]);
          event.target.value = '';
          if (folder) void explore.overlap({ kind: 'files', ...folder }, folder.name);
        }}
      />
    </label>
  );
}

function Found({ card, name, side, onSide }: { card: OverlapCard; name: string; side: Side; onSide: (side: Side) => void }) {
  const { explore } = useApp();
  const modules = useExplore((state) => state.card?.modules) ?? [];
  const selected = useExplore((state) => state.selected);
  const whole = (site: SiteOverlap) => site[side].at(-1) ?? 0;
  const mean = card.sites.reduce((sum, site) => sum + whole(site), 0) / Math.max(1, card.sites.length);
  const chance = card.sites.reduce((sum, site) => sum + (side === 'left' ? site.leftChance : site.rightChance), 0) / Math.max(1, card.sites.length);
  const bySite = new Map(card.sites.map((site) => [site.site, site]));
  const places = new Map(modules.map((module, i) => [`${module.depth}/${module.module}`, { i, found: bySite.get(module.site) }]));
  const depths = [...new Set(modules.map((module) => module.depth))].sort((a, b) => a - b);
  const names = [...new Set(modules.map((module) => module.module))];
  const shown = bySite.get(modules[selected]?.site ?? '');
  return (
    <>
      <Segmented label={words.overlapSide} value={side} onChange={(value) => onSide(value as Side)} options={[{ value: 'left', label: words.overlapLeft }, { value: 'right', label: words.overlapRight }]} />
      <p className="row fs12"><span className="read overlap-read" data-testid="overlap-mean">{mean.toFixed(3)}</span><span className="dim">{words.overlapMean(name, chance.toFixed(3))}</span></p>
      <table className="counts" aria-label={words.overlapMap}>
        <thead><tr><td />{names.map((module) => <th key={module} scope="col" title={module}>{columnName(module)}</th>)}</tr></thead>
        <tbody>
          {depths.map((depth) => (
            <tr key={depth}>
              <th scope="row">{depth}</th>
              {names.map((module) => {
                const place = places.get(`${depth}/${module}`);
                if (!place) return <td key={module} />;
                const share = place.found ? whole(place.found) : 0;
                return (
                  <td key={module}>
                    <button
                      type="button" className={place.found ? 'count' : 'count zero'} style={{ '--k': share } as React.CSSProperties} data-high={share > 0.6 ? '' : undefined} aria-pressed={place.i === selected}
                      aria-label={`${modules[place.i]?.site}: ${place.found ? share.toFixed(3) : words.overlapMissing}`} onClick={() => explore.select(place.i)}
                    >
                      {place.found ? share.toFixed(2).replace(/^0/, '') : ''}
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {shown && <Pairs site={shown} side={side} name={name} />}
      {card.unmatched.length > 0 && <p className="hint fs11">{words.overlapUnmatched(card.unmatched.length)}</p>}
    </>
  );
}

/** The first i directions of one against the first j of the other. */
function Pairs({ site, side, name }: { site: SiteOverlap; side: Side; name: string }) {
  const [a, b] = site.ranks;
  const cell = 100 / Math.max(a, b);
  const distance = side === 'left' ? site.leftDistance : site.rightDistance;
  return (
    <>
      <h3 className="fs12 ell" title={site.site}>{site.site}</h3>
      <div className="row pairs">
        <svg viewBox={`0 0 ${b * cell} ${a * cell}`} role="img" aria-label={words.pairsSaid(a, b, name)}>
          {Array.from(site[side], (share, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a pair is its place.
            <rect key={i} x={(i % b) * cell} y={Math.floor(i / b) * cell} width={cell - 0.6} height={cell - 0.6} style={{ fill: `color-mix(in oklab, var(--heat-hi) ${(8 + 92 * Math.min(1, share)).toFixed(0)}%, var(--heat-lo))` }}><title>{`${Math.floor(i / b) + 1} × ${(i % b) + 1}: ${share.toFixed(3)}`}</title></rect>
          ))}
        </svg>
        <div className="fs12 dim grow"><p>{words.pairs(name)}</p><p className="mono">{words.grassmann(distance.toFixed(3), ((Math.PI / 2) * Math.sqrt(Math.min(a, b))).toFixed(3))}</p></div>
      </div>
    </>
  );
}
