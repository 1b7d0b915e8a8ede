// Held-out pictures with what the model took them for before training and takes them for now; what it mixes up.
import { Check, X } from 'lucide-react';
import { METRICS, type Metric, tasks } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { Icon } from '../controls/Icon';
import { loss as lossText, percent } from '../format';
import { pictureStrings as words } from '../strings-pictures';
import { type Confusion, confusionOf, type Seen, sheetOf, worstOf } from './looks';
import { Thumb } from './Thumb';

const MOST = 24;
const FEW = 6;

export function PictureSheet({ run }: { run: RunRecord }) {
  const [first, last] = [run.looks[0], run.looks.at(-1)];
  return (
    <div className="sheet">
      <div className="ph"><h2>{words.sheet}</h2><span className="meta">{last ? words.step(last.step) : words.sheetHint}</span></div>
      <div className="rule" />
      <Scores run={run} />
      {!first || !last ? <p className="pb hint fs12">{run.config.holdout === 0 ? words.sheetNone : words.sheetWaiting}</p> : (
        <>
          <ul className="picture-grid sheet-grid" data-testid="picture-sheet">{sheetOf(first, last).slice(0, MOST).map((seen) => <Verdict key={seen.row} seen={seen} />)}</ul>
          <div className="pb">
            {last.rows.some(({ wanted }) => wanted !== undefined) && <Confusions confusion={confusionOf(last)} />}
            <div className="sub"><h3>{words.worst}</h3><span className="hint">{words.worstHint}</span></div>
          </div>
          <ul className="picture-grid sheet-grid" data-testid="picture-worst">{worstOf(last, FEW).map((seen) => <Verdict key={seen.row} seen={seen} withLoss />)}</ul>
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

function Verdict({ seen: { shown, now, before }, withLoss = false }: { seen: Seen; withLoss?: boolean }) {
  const right = now.given === now.wanted;
  const title = [shown.name, now.wanted && `${words.wanted}: ${now.wanted}`, now.given && `${words.after}: ${now.given}${now.share === undefined ? '' : `, ${words.sure(percent(now.share))}`}`, before?.given && words.was(before.given)].filter(Boolean).join('\n');
  return (
    <li title={title}>
      {shown.picture && <Thumb picture={shown.picture} label={title} />}
      {now.wanted === undefined
        ? <span className="ell fs11">{shown.text}</span>
        : <span className={right ? 'ell fs11 acc' : 'ell fs11 warn'}><Icon of={right ? Check : X} size={11} />{now.given}</span>}
      {withLoss || now.wanted === undefined
        ? <span className="ell fs11 hint">{words.loss(lossText(now.loss))}</span>
        : <span className="ell fs11 was">{before?.given ?? ''}</span>}
    </li>
  );
}

function Confusions({ confusion: { labels, counts, pairs } }: { confusion: Confusion }) {
  return (
    <>
      <div className="sub"><h3>{words.confused}</h3><span className="hint">{words.confusedHint}</span></div>
      {pairs.length === 0 && <p className="hint fs12">{words.confusedNone}</p>}
      <table className="tbl"><tbody>{pairs.slice(0, FEW).map(({ wanted, given, count }) => <tr key={`${wanted} ${given}`}><td className="ell">{words.confusedPair(wanted, given)}</td><td className="r num">{count}</td></tr>)}</tbody></table>
      <details className="more">
        <summary>{words.matrix}</summary>
        <p className="hint fs12">{words.matrixHint}</p>
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
