// A fair comparison in one form: methods at equal size, learning rates, seeds. The ranks are found by planning; every row says how
// near it came. Training it is one press.
import { X } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { useEffect, useState } from 'react';
import type { MethodCard, RunConfig } from '../../store/contract';
import { BASELINE } from '../../store/groups';
import { sweepName } from '../../store/queue';
import type { Arm } from '../../store/sweep';
import { setupTrainBlock } from '../../store/train-block';
import { useApp, useStudio } from '../context';
import { FieldControl } from '../controls/FieldControl';
import { Icon } from '../controls/Icon';
import { clock, count, megabytes, percent, setting } from '../format';
import { openOverlay, overlayChange, overlays } from '../shell/overlays';
import { strings } from '../strings';

const words = strings.compare.arms;
/** As groups.ts counts sizes as equal. */
const TOO_FAR = 0.05;
const MAX_SEEDS = 8;
type Found = { arm: Arm } | { problem: string } | null;

export function ArmsDialog() {
  const app = useApp();
  const { edit, queue, store, vault } = app;
  const methods = useStudio((state) => state.engine.methods);
  const draft = useStudio((state) => state.project.draft);
  const block = useStudio((state) => setupTrainBlock(state, vault));
  const baseline = methods.find((method) => method.slug === BASELINE);
  const [chosen, setChosen] = useState(() => [...new Set([BASELINE, draft.method.slug, ...overlays.getState().arms])].filter((slug) => methods.some((method) => method.slug === slug)));
  const [rank, setRank] = useState(() => Number(draft.method.slug === BASELINE ? (draft.method.fields.rank ?? baseline?.fields.rank?.default) : baseline?.fields.rank?.default) || 8);
  const [ratesText, setRatesText] = useState(setting(draft.training.lr));
  const [seeds, setSeeds] = useState(3);
  const [name, setName] = useState(() => sweepName(store, 'equal-size'));
  const arms = useArms(chosen, rank, methods, draft);

  const rates = readRates(ratesText);
  const ready = arms.flatMap((entry) => (entry.found && 'arm' in entry.found && !entry.found.arm.plan.problem ? [entry.found.arm] : []));
  const sizing = arms.some((entry) => entry.found === null);
  const total = ready.length * (rates?.length ?? 0) * seeds;
  const time = ready.every((arm) => arm.plan.seconds !== undefined) && rates ? ready.reduce((sum, arm) => sum + (arm.plan.seconds as number), 0) * rates.length * seeds : null;
  const start = () => {
    if (!rates) return;
    queue.add({ name: name.trim() || 'comparison', base: draft, arms: ready, rates, seeds: Array.from({ length: seeds }, (_, i) => draft.training.seed + i) });
    edit.open('compare');
    openOverlay(null);
  };

  return (
    <Dialog.Root open onOpenChange={overlayChange('arms')}>
      <Dialog.Portal>
        <Dialog.Overlay className="scrim" />
        <Dialog.Content className="dialog arms" data-testid="arms-dialog">
          <div className="ph"><Dialog.Title>{words.title}</Dialog.Title><span className="end"><Dialog.Close className="iconbtn" aria-label={strings.common.close}><Icon of={X} /></Dialog.Close></span></div>
          <div className="dialog-body">
            <Dialog.Description className="dim fs12">{words.text}</Dialog.Description>
            <div className="arms-form">
              {baseline?.fields.rank?.kind === 'int' && <FieldControl name="baseline-rank" field={{ ...baseline.fields.rank, label: words.baselineRank }} value={rank} onChange={(value) => setRank(Number(value))} />}
              <label className="field wide"><span className="lab">{words.rates} <span className="hint">{words.ratesHint}</span></span><input className="box" value={ratesText} aria-invalid={rates === null} data-testid="rates" onChange={(event) => setRatesText(event.target.value)} /></label>
              {rates === null && <p className="danger fs12">{words.ratesWrong}</p>}
              <FieldControl name="seeds" field={{ kind: 'int', label: words.seeds, help: words.seedsHint(draft.training.seed, seeds), default: 3, min: 1, max: MAX_SEEDS }} value={seeds} onChange={(value) => setSeeds(Number(value))} />
              <p className="hint fs12">{words.seedsHint(draft.training.seed, seeds)}</p>
              <label className="field wide"><span className="lab">{words.name}</span><input className="box" value={name} onChange={(event) => setName(event.target.value)} /></label>
              <p className="hint fs12">{words.steps}: <span className="num">{count(draft.training.steps)}</span></p>
            </div>
            <table className="tbl arms-table">
              <thead><tr><th>{words.methods}</th><th className="r">{words.found}</th><th className="r">{words.trainable}</th><th className="r">{words.off}</th><th className="r">{words.memory}</th></tr></thead>
              <tbody>
                {methods.map((method) => (
                  <ArmRow key={method.slug} method={method} on={chosen.includes(method.slug)} found={arms.find((entry) => entry.slug === method.slug)?.found ?? null} onToggle={() => setChosen((now) => (now.includes(method.slug) ? now.filter((slug) => slug !== method.slug) : [...now, method.slug]))} />
                ))}
              </tbody>
            </table>
          </div>
          <div className="dialog-foot">
            <span className="dim">{chosen.length === 0 ? words.none : block ? strings.build.blocked[block] : sizing ? words.sizing : words.total(total, time === null ? null : clock(time))}</span>
            <button type="button" className="btn primary lg" data-testid="start-comparison" disabled={total === 0 || sizing || block !== null} onClick={start}>{words.start(total)}</button>
          </div>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function ArmRow({ method, on, found, onToggle }: { method: MethodCard; on: boolean; found: Found; onToggle: () => void }) {
  const arm = found && 'arm' in found ? found.arm : null;
  const problem = found && 'problem' in found ? found.problem : arm?.plan.problem ? words.notFit : null;
  const far = arm !== null && (arm.off === null || Math.abs(arm.off) > TOO_FAR);
  return (
    <tr className={on ? '' : 'off'}>
      <td><label className="check"><input type="checkbox" checked={on} onChange={onToggle} data-testid={`arm-${method.slug}`} />{method.name}</label>{on && problem && <span className="danger fs11 breaks">{problem}</span>}{on && !problem && far && <span className="warn fs11">{words.tooFar}</span>}</td>
      <td className="r">{on && arm ? (arm.fields.rank === undefined ? <span className="hint">{words.noRank}</span> : String(arm.fields.rank)) : ''}</td>
      <td className="r">{on && arm ? count(arm.trainable) : ''}</td>
      <td className="r">{on && arm && arm.off !== null ? percent(Math.abs(arm.off)) : ''}</td>
      <td className="r">{on && arm ? megabytes(arm.plan.peakBytes) : ''}</td>
    </tr>
  );
}

/** The chosen methods at the baseline's size, found one after the other; a later change leaves an earlier search behind. */
function useArms(chosen: readonly string[], rank: number, methods: readonly MethodCard[], draft: RunConfig): { slug: string; found: Found }[] {
  const { queue } = useApp();
  const [found, setFound] = useState<Record<string, Found>>({});
  const key = JSON.stringify([draft.model, draft.targets, draft.training.batch, draft.training.seq, draft.training.steps, rank]);
  const list = chosen.join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for the parts of the draft that a plan depends on.
  useEffect(() => {
    let stale = false;
    const search = async () => {
      const card = methods.find((method) => method.slug === BASELINE);
      if (!card) return;
      setFound({});
      const sized = async (method: MethodCard, wanted: number): Promise<Found> => {
        try {
          return { arm: await queue.arm(method, draft, wanted) };
        } catch (error) {
          return { problem: (error as { message?: string }).message ?? String(error) };
        }
      };
      const reference = await queue.size(card, draft, rank).catch((error: unknown) => ({ problem: (error as { message?: string }).message ?? String(error) }));
      for (const slug of chosen) {
        const method = methods.find((one) => one.slug === slug);
        if (stale || !method) return;
        const result: Found = 'problem' in reference ? reference : slug === BASELINE ? { arm: reference } : await sized(method, reference.trainable);
        if (!stale) setFound((now) => ({ ...now, [slug]: result }));
      }
    };
    void search();
    return () => {
      stale = true;
    };
  }, [key, list]);
  return chosen.map((slug) => ({ slug, found: found[slug] ?? null }));
}

function readRates(text: string): number[] | null {
  const rates = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  return rates.length > 0 && rates.every((rate) => Number.isFinite(rate) && rate > 0) ? [...new Set(rates)] : null;
}
