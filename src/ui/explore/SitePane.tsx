// One module closely: its spectrum and gates with what the cut leaves, effective ranks, ΔW before and after, and its own switch.
import { Switch } from 'radix-ui';
import { useEffect } from 'react';
import { cutOf, rankSizes } from '../../store/explore';
import { type EffectiveRank, effectiveRank, energy, type ExploredModule, present } from '../../store/contract';
import { useApp } from '../context';
import { NumberBox } from '../controls/NumberBox';
import { percent, tick } from '../format';
import { strings } from '../strings';
import { Bars } from './Bars';
import { DeltaPicture } from './DeltaPicture';
import { useExplore } from './use-explore';

const words = strings.explore;

export function SitePane() {
  const { explore } = useApp();
  const selected = useExplore((state) => state.selected);
  const source = useExplore((state) => state.source?.key);
  const module = useExplore((state) => state.card?.modules[state.selected]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another adapter has other details for the same number.
  useEffect(() => explore.select(selected), [explore, selected, source]);
  return (
    <section className="pane site-pane" aria-label={words.site}>
      {module && <Module module={module} index={selected} />}
    </section>
  );
}

function Module({ module, index }: { module: ExploredModule; index: number }) {
  const { explore } = useApp();
  const keep = useExplore((state) => cutOf(state).keep[index] ?? 0);
  const basis = useExplore((state) => cutOf(state).basis);
  const given = useExplore((state) => state.given[index]);
  const detail = useExplore((state) => state.details[index]);
  const weights = useExplore((state) => state.weights[index]);
  const trained = basis === 'trained';
  const all = present(trained ? rankSizes(module) : module.sigma);
  const whole = energy(module.sigma);
  const lost = trained || whole === 0 ? null : Math.sqrt(energy(module.sigma.subarray(keep)) / whole);
  const ranks = effectiveRank(module.sigma);
  const [out, inn] = module.shape;
  return (
    <>
      <div className="ph">
        <h2 className="ell" title={module.site}>{words.siteName(module.depth, module.module)}</h2>
        <span className="meta">ΔW {out} × {inn}</span>
        <span className="end num fs12">{words.rankOf(keep, all)}</span>
      </div>
      <div className="pb-scroll">
        <div className="pb site-body">
          <div className="row site-own">
            <Switch.Root className="switch" checked={keep > 0 || given === undefined} onCheckedChange={(on) => explore.give(index, on ? null : 0)} aria-label={words.moduleOn} data-testid="module-switch"><Switch.Thumb className="switch-thumb" /></Switch.Root>
            <span className="fs12 dim">{given === 0 ? words.moduleOff : words.moduleOn}</span>
            <span className="end">
              <span className="fs12 dim">{words.ownRank}</span>
              <span className="own-box"><NumberBox label={words.ownRank} value={keep} min={0} max={all} integer step={(value, by) => value + by} changed={given !== undefined} testid="module-rank" onChange={(value) => explore.give(index, value)} /></span>
              <button type="button" className="btn ghost" disabled={given === undefined} onClick={() => explore.give(index, null)}>{words.bySlider}</button>
            </span>
          </div>
          <h3 className="fs12 dim">{words.spectrum} <span className="hint">{words.spectrumHint}</span></h3>
          <Bars title={words.spectrum} values={module.sigma} keep={trained ? null : keep} log over={weights && weights !== 'reading' ? { name: words.ofWeight, values: weights } : null} />
          <div className="row between fs12">
            {weights && weights !== 'reading'
              ? <span className="dim">{words.ratio(tick((module.sigma[0] ?? 0) / (weights[0] || 1)))}</span>
              : <button type="button" className="btn ghost" disabled={weights === 'reading'} onClick={() => void explore.weights(index)} data-testid="weights-button">{weights === 'reading' ? words.weightReading : words.weightSpectrum}</button>}
            {detail && <span className="dim num">‖ΔW‖ / ‖W‖ {tick(Math.sqrt(whole) / (detail.weightNorm || 1))}</span>}
          </div>
          <h3 className="fs12 dim">{module.gates ? words.gates : words.trainedRanks} <span className="hint">{module.gates ? words.gatesHint : words.trainedHint}</span></h3>
          <Bars title={module.gates ? words.gates : words.trainedRanks} values={rankSizes(module)} keep={trained ? keep : null} small />
          <h3 className="fs12 dim">{words.effective}</h3>
          <dl className="effective">{(Object.keys(words.ranks) as (keyof EffectiveRank)[]).map((name) => <div key={name}><dt title={words.rankHelp[name]}>{words.ranks[name]}</dt><dd className="num">{Number(ranks[name].toFixed(2))}</dd></div>)}</dl>
          <div className="row pictures">
            <DeltaPicture detail={detail ?? null} sigma={module.sigma} keep={module.sigma.length} label={words.pictureAll} />
            {!trained && <DeltaPicture detail={detail ?? null} sigma={module.sigma} keep={keep} label={words.pictureCut(keep)} />}
            <div className="fs12 dim grow">
              <b className="strong">{words.pictures}</b>
              <p>{words.pictureText(detail?.rows ?? 0, detail?.columns ?? 0)}</p>
              {lost !== null && <p>{words.pictureError(percent(lost))}</p>}
              <p className="hint">{words.pictureSign}</p>
            </div>
          </div>
        </div>
      </div>
    </>
  );
}
