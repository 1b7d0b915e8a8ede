// Held-out pictures or texts with what the model took them for before training and takes them for now; what it mixes up.
import { Check, X } from 'lucide-react';
import { METRICS, type Metric, tasks } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { Icon } from '../controls/Icon';
import { loss as lossText, percent } from '../format';
import { heldOutStrings as heldOut } from '../strings-held-out';
import { type Confusion, confusionOf, type Seen, sheetOf, worstOf } from './looks';
import { Thumb } from '../pictures/Thumb';

const MOST = 24;
const FEW = 6;

export function HeldOut({ run }: { run: RunRecord }) {
  const [first, last] = [run.looks[0], run.looks.at(-1)];
  const { unit, kind } = tasks[run.config.task];
  const [words, Rows] = unit === 'picture' ? [{ ...heldOut, ...heldOut.pictures }, Pictures] as const : [{ ...heldOut, ...heldOut.texts }, Texts] as const;
  return (
    <div className="sheet">
      <div className="ph"><h2>{words.sheet}</h2><span className="meta">{last ? words.step(last.step) : words.sheetHint}</span></div>
      <div className="rule" />
      <Scores run={run} />
      {!first || !last ? <p className="pb hint fs12">{run.config.holdout === 0 ? words.sheetNone : kind === 'masked-lm' ? words.masked : words.sheetWaiting}</p> : (
        <>
          <Rows seen={sheetOf(first, last).slice(0, MOST)} testid="sheet" />
          <div className="pb">
            {last.rows.some(({ wanted }) => wanted !== undefined) && <Confusions confusion={confusionOf(last)} />}
            <div className="sub"><h3>{words.worst}</h3><span className="hint">{words.worstHint}</span></div>
          </div>
          <Rows seen={worstOf(last, FEW)} withLoss testid="sheet-worst" />
        </>
      )}
    </div>
  );
}

function Scores({ run }: { run: RunRecord }) {
  const [first, last] = [run.scores[0], run.scores.at(-1)];
  if (!last) return null;
  const { metrics } = tasks[run.config.task];
  return (
    <table className="tbl pb scores" data-testid="scores">
      <tbody>
        {metrics.filter((name: Metric) => last.metrics[name] !== undefined).map((name: Metric) => (
          <tr key={name}><td>{METRICS[name].title}</td><td className="r was">{first && first.step < last.step ? scoreText(name, first.metrics[name]) : ''}</td><td className="r acc" data-testid={`score-${name}`}>{scoreText(name, last.metrics[name])}</td></tr>
        ))}
      </tbody>
    </table>
  );
}

const scoreText = (name: Metric, value: number | undefined) => (value === undefined ? '' : name === 'accuracy' || name.includes('recall') ? percent(value) : value.toFixed(3));

interface RowsProps { seen: readonly Seen[]; withLoss?: boolean; testid: string }

function Texts({ seen, withLoss = false, testid }: RowsProps) {
  return (
    <div className="pb"><table className="tbl texts-sheet" data-testid={testid}>
      <tbody>
        {seen.map((one) => (
          <tr key={one.row} title={titleOf(one)}>
            <td className="ell fs12">{one.shown.text}</td>
            <td className="fs11">{one.now.wanted !== undefined && <Given now={one.now} />}</td>
            <td className="r fs11 was">{withLoss || one.now.wanted === undefined ? lossText(one.now.loss) : (one.before?.given ?? '')}</td>
          </tr>
        ))}
      </tbody>
    </table></div>
  );
}

const Pictures = ({ seen, withLoss = false, testid }: RowsProps) => <ul className="picture-grid sheet-grid" data-testid={testid}>{seen.map((one) => <Verdict key={one.row} seen={one} withLoss={withLoss} />)}</ul>;

const titleOf = ({ shown, now, before }: Seen) => [shown.name ?? shown.text, now.wanted && `${heldOut.wanted}: ${now.wanted}`, now.given && `${heldOut.after}: ${now.given}${now.share === undefined ? '' : `, ${heldOut.sure(percent(now.share))}`}`, before?.given && heldOut.was(before.given)].filter(Boolean).join('\n');

const Given = ({ now }: { now: Seen['now'] }) => {
  const right = now.given === now.wanted;
  return <span className={right ? 'ell fs11 acc' : 'ell fs11 warn'}><Icon of={right ? Check : X} size={11} />{now.given}</span>;
};

function Verdict({ seen, withLoss }: { seen: Seen; withLoss: boolean }) {
  const { shown, now, before } = seen;
  const title = titleOf(seen);
  return (
    <li title={title}>
      {shown.picture && <Thumb picture={shown.picture} label={title} />}
      {now.wanted === undefined
        ? <span className="ell fs11">{shown.text}</span>
        : <Given now={now} />}
      {withLoss || now.wanted === undefined
        ? <span className="ell fs11 hint">{heldOut.loss(lossText(now.loss))}</span>
        : <span className="ell fs11 was">{before?.given ?? ''}</span>}
    </li>
  );
}

function Confusions({ confusion: { labels, counts, pairs } }: { confusion: Confusion }) {
  return (
    <>
      <div className="sub"><h3>{heldOut.confused}</h3><span className="hint">{heldOut.confusedHint}</span></div>
      {pairs.length === 0 && <p className="hint fs12">{heldOut.confusedNone}</p>}
      <table className="tbl"><tbody>{pairs.slice(0, FEW).map(({ wanted, given, count }) => <tr key={`${wanted} ${given}`}><td className="ell">{heldOut.confusedPair(wanted, given)}</td><td className="r num">{count}</td></tr>)}</tbody></table>
      <details className="more">
        <summary>{heldOut.matrix}</summary>
        <p className="hint fs12">{heldOut.matrixHint}</p>
        <div className="scroll">
          <table className="tbl confusion" data-testid="confusion">
            <thead><tr><th />{labels.map((label) => <th key={label} className="r" title={label}>{label.slice(0, 6)}</th>)}</tr></thead>
            <tbody>{labels.map((label, w) => <tr key={label}><th className="ell" title={label}>{label}</th>{labels.map((other, g) => <td key={other} className={w === g ? 'r num acc' : 'r num'}>{counts[w]?.[g] || ''}</td>)}</tr>)}</tbody>
          </table>
        </div>
      </details>
    </>
  );
}
