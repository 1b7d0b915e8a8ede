// What the setup will cost, before it costs anything; and the button that starts it.
import { Check, FileJson, Link, Terminal, TriangleAlert, X } from 'lucide-react';
import type { Plan } from '../../store/contract';
import { trainBlock } from '../../store/train-block';
import { useApp, useStudio } from '../context';
import { CopyButton, CopyLine } from '../controls/CopyLine';
import { FailureBanner } from '../controls/FailureBanner';
import { Icon } from '../controls/Icon';
import { saveFile } from '../controls/save-file';
import { bytes, bytesParts, clock, count, flops, megabytes, percent } from '../format';
import { platformKeys } from '../shell/platform';
import { toHash } from '../../store/link';
import { strings } from '../strings';
import { commandOf } from './command';
import { partShade } from './part-shade';

const words = strings.build;

export function PlanPane() {
  const { plan, error } = useStudio((state) => state.project.plan);
  return (
    <section className="pane plan" aria-label={words.plan}>
      <div className="ph"><h2>{words.plan}</h2><span className="meta">{words.planHint}</span></div>
      <div className="pb-scroll">
        {!plan && !error && <p className="pb hint fs12">{words.planPending}</p>}
        {error && <div className="pb"><FailureBanner title={words.planFailed} failure={error} /></div>}
        {plan && (
          <>
            <Memory plan={plan} />
            <div className="rule" />
            <Trainables plan={plan} />
            <div className="rule" />
            <Time plan={plan} />
            <div className="rule" />
            <ExportKind />
          </>
        )}
      </div>
      <TrainFoot />
    </section>
  );
}

function Memory({ plan }: { plan: Plan }) {
  const limits = useStudio((state) => state.engine.device?.limits);
  const limit = limits && Math.min(limits.maxStorageBufferBindingSize ?? Number.POSITIVE_INFINITY, limits.maxBufferSize ?? Number.POSITIVE_INFINITY);
  const [peak, unit] = bytesParts(plan.peakBytes);
  const { problem } = plan;
  return (
    <div className="pb">
      <div className={problem ? 'read-row danger' : 'read-row'} data-testid="plan-bytes">
        <span className="read">{peak}<small>{words.peak(unit)}</small></span>
      </div>
      <div className="stack" role="img" aria-label={plan.bytes.map((part) => `${part.part} ${bytes(part.bytes)}`).join(', ')}>
        {plan.bytes.map((part, i) => <i key={part.part} title={`${part.part} ${bytes(part.bytes)}`} style={{ flexGrow: part.bytes, background: partShade(plan.bytes, i) }} />)}
      </div>
      {limit !== undefined && Number.isFinite(limit) && (
        <>
          <div className={plan.largestBuffer > limit ? 'fit over' : 'fit'}>
            <i style={{ width: `${100 * Math.min(1, plan.largestBuffer / Math.max(limit, plan.largestBuffer))}%` }} />
            <u style={{ left: `${100 * Math.min(1, limit / Math.max(limit, plan.largestBuffer))}%` }} />
          </div>
          <p className="fit-line">
            <Icon of={problem ? X : Check} size={14} />
            <b>{problem ? words.fitsNot : words.fits}</b>
            <span className="hint">{words.buffer(bytes(plan.largestBuffer), bytes(limit))}</span>
          </p>
        </>
      )}
      {problem && <FailureBanner failure={{ name: 'DeviceLimitError', ...problem }} />}
      <table className="tbl parts">
        <tbody>
          {plan.bytes.map((part, i) => (
            <tr key={part.part}>
              <td><i className="swatch" style={{ background: partShade(plan.bytes, i) }} />{part.part}</td>
              <td className="r">{megabytes(part.bytes)}{i === 0 && <span className="unit"> {words.bytesUnit}</span>}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Trainables({ plan }: { plan: Plan }) {
  const most = Math.max(1, ...plan.byModule.map((entry) => entry.trainable));
  return (
    <div className="pb">
      <div className="read-row">
        <span className="read" data-testid="plan-trainable">{count(plan.trainable)}</span>
        <span className="end num dim">{percent(plan.trainable / plan.total)}</span>
      </div>
      <p className="dim fs12">{words.ofParameters(plan.total)}</p>
      <details className="more">
        <summary>{words.byModule}</summary>
        <table className="tbl parts">
          <tbody>
            {plan.byModule.map((entry) => (
              <tr key={entry.module}>
                <td>{entry.module} <span className="hint num">{words.sitesShort(entry.sites)}</span></td>
                <td className="bar-cell"><i style={{ width: `${(100 * entry.trainable) / most}%` }} /></td>
                <td className="r">{count(entry.trainable)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </div>
  );
}

function Time({ plan }: { plan: Plan }) {
  const steps = useStudio((state) => state.project.draft.training.steps);
  return (
    <div className="pb">
      {plan.seconds === undefined ? (
        <><h3 className="sub">{words.timeNone}</h3><p className="hint fs12">{words.timeNoneText}</p></>
      ) : (
        <div className="read-row"><span className="read">{clock(plan.seconds)}<small>{words.time(steps)}</small></span></div>
      )}
      <p className="dim fs12">
        {plan.secondsSource ? `${words.timeSource(plan.secondsSource)} ` : ''}{words.perStep(flops(plan.flopsPerStep), plan.dispatchesPerStep)}
      </p>
    </div>
  );
}

function ExportKind() {
  const exports = useStudio((state) => state.engine.methods.find((method) => method.slug === state.project.draft.method.slug)?.exports);
  if (!exports) return null;
  const said = { 'lora-exact': words.exportsExact, 'lora-svd': words.exportsSvd, peft: words.exportsPeft, native: words.exportsNative, none: words.exportsNone }[exports];
  return <p className="pb export-kind"><Icon of={Check} size={14} />{said}</p>;
}

/** On a phone the plan is far down: the button waits at the thumb. */
export function PhoneTrain() {
  const { ask, vault } = useApp();
  const block = useStudio((state) => trainBlock(state, vault));
  return (
    <div className="phone-actions">
      <button type="button" className="btn primary" disabled={block !== null} onClick={() => void ask.train()}>{block ? words.blocked[block] : words.train}</button>
    </div>
  );
}

function TrainFoot() {
  const { ask, vault } = useApp();
  const block = useStudio((state) => trainBlock(state, vault));
  const startError = useStudio((state) => state.project.startError);
  const draft = useStudio((state) => state.project.draft);
  const catalogue = useStudio((state) => state.engine.data);
  const link = () => `${location.origin}${location.pathname}${toHash(draft)}`;
  return (
    <div className="plan-foot">
      {startError && <FailureBanner title={words.startFailed} failure={startError} />}
      <button type="button" className="btn primary lg wide" data-testid="train-button" disabled={block !== null} aria-describedby="train-reason" onClick={() => void ask.train()}>
        {words.train} <kbd>{platformKeys('⌘↵')}</kbd>
      </button>
      <p id="train-reason" className="train-reason">{block && <><Icon of={TriangleAlert} size={13} />{words.blocked[block]}</>}</p>
      <div className="row link-row"><CopyButton text={link()} label={words.copyLink} icon={Link} /><button type="button" className="btn ghost" onClick={() => saveFile('lowrank-setup.json', `${JSON.stringify(draft, null, 2)}\n`)}><Icon of={FileJson} size={13} />{words.saveConfig}</button></div>
      <details className="more">
        <summary><Icon of={Terminal} size={13} /> {words.command}</summary>
        <CopyLine text={commandOf(draft, catalogue)} />
      </details>
    </div>
  );
}
