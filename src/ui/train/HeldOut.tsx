// Held-out pictures or texts with what the model took them for before training and takes them for now; what it mixes up.
import { Check, X } from 'lucide-react';
import { Fragment } from 'react';
import { METRICS, type Metric, tasks } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { Icon } from '../controls/Icon';
import { loss as lossText, percent } from '../format';
import { heldOutStrings as heldOut } from '../strings-held-out';
import { type Confusion, confusionOf, extremesOf, type Seen, sheetOf } from './looks';
import { Thumb } from '../pictures/Thumb';

const MOST = 24;
const FEW = 6;

export function HeldOut({ run }: { run: RunRecord }) {
  const [first, last] = [run.looks[0], run.looks.at(-1)];
  const { unit, kind } = tasks[run.config.task];
  const { worst, best } = last ? extremesOf(last, FEW) : { worst: [], best: [] };
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
          <Rows seen={worst} withLoss testid="sheet-worst" />
          {best.length > 0 && (
            <>
              <div className="pb"><div className="sub"><h3>{words.best}</h3><span className="hint">{words.bestHint}</span></div></div>
              <Rows seen={best} withLoss testid="sheet-best" />
            </>
          )}
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
            <td className="fs12"><What seen={one} /></td>
            <td className="fs11"><Now now={one.now} /></td>
            <td className="r fs11 was">{withLoss ? lossText(one.now.loss) : one.before && verdictOf(one.before)}</td>
          </tr>
        ))}
      </tbody>
    </table></div>
  );
}

const Pictures = ({ seen, withLoss = false, testid }: RowsProps) => <ul className="picture-grid sheet-grid" data-testid={testid}>{seen.map((one) => <Verdict key={one.row} seen={one} withLoss={withLoss} />)}</ul>;

const titleOf = ({ shown, now, before }: Seen) => [shown.name ?? shown.text, shown.second, now.rank !== undefined && heldOut.placeLong(now.rank, (now.cosine ?? 0).toFixed(3)), now.wanted && `${heldOut.wanted}: ${now.wanted}`, now.given && `${heldOut.after}: ${now.given}${now.share === undefined ? '' : `, ${heldOut.sure(percent(now.share))}`}`, before && (before.given ?? before.rank) !== undefined && heldOut.was(verdictOf(before))].filter(Boolean).join('\n');

/** A row as one reads it: two texts below one another, or words of which those tagged, and all that are mistaken, show their tag. */
function What({ seen: { shown, now } }: { seen: Seen }) {
  const { words, text, second } = shown;
  if (words && now.tags) {
    const { wanted, given } = now.tags;
    // biome-ignore lint/suspicious/noArrayIndexKey: a word is its place.
    return <p className="tagged">{words.map((word, i) => <Fragment key={i}><Tagged word={word} wanted={wanted[i]} given={given[i]} />{' '}</Fragment>)}</p>;
  }
  return <>{text && <div className="ell">{text}</div>}{second && <div className="ell dim">{second}</div>}</>;
}

/** What is beyond the cut has no tag. */
function Tagged({ word, wanted, given }: { word: string; wanted: string | undefined; given: string | undefined }) {
  if (wanted === undefined || given === undefined) return <span className="dim">{word}</span>;
  if (wanted !== given) return <span className="mistake" title={`${word}\n${heldOut.wanted}: ${wanted}\n${heldOut.after}: ${given}`}>{word}<sub className="warn"><Icon of={X} size={10} />{given}</sub><sub className="dim">{heldOut.is(wanted)}</sub></span>;
  return <span>{word}{given !== OUTSIDE && <sub className="acc">{given}</sub>}</span>;
}

/** The tag of words that are part of nothing. */
const OUTSIDE = 'O';

/** How well a row is answered, in a few letters. */
function verdictOf({ given, cosine, rank, tags, loss }: Seen['now']): string {
  if (given !== undefined) return given;
  if (rank !== undefined && cosine !== undefined) return heldOut.place(rank, cosine.toFixed(2));
  if (tags) return heldOut.rightOf(tags.given.filter((tag, i) => tag === tags.wanted[i]).length, tags.given.length);
  return lossText(loss);
}

function Now({ now }: { now: Seen['now'] }) {
  if (now.wanted !== undefined) return <Given now={now} />;
  const right = now.rank === 1 || now.tags?.given.every((tag, i) => tag === now.tags?.wanted[i]);
  return <span className={right ? 'num acc' : 'num'}>{verdictOf(now)}</span>;
}

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
        ? <><span className="ell fs11">{shown.text}</span><span className="ell fs11"><Now now={now} /></span></>
        : <Given now={now} />}
      {withLoss
        ? <span className="ell fs11 hint">{heldOut.loss(lossText(now.loss))}</span>
        : <span className="ell fs11 was">{before && verdictOf(before)}</span>}
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
