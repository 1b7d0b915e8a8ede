// What was checked after writing, with the numbers: the file was read back and run against the trained adapter.
import { Check, TriangleAlert } from 'lucide-react';
import type { ExportResult } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { bytes, count, percent, tick, tiny } from '../format';
import { strings } from '../strings';

const words = strings.exportPanel;
/** Above this share of the adapter's own effect, the file is not what was trained. */
const ROUNDING = 1e-3;

export function Receipt({ run }: { run: RunRecord }) {
  const receipt = useStudio((state) => state.artifacts.exports[run.id]?.result?.receipt);
  return (
    <>
      <div className="ph"><h2>{words.receipt}</h2></div>
      <div className="rule" />
      {receipt ? <Lines receipt={receipt} /> : <p className="pb hint fs12">{words.notYetReceipt}</p>}
    </>
  );
}

function Lines({ receipt }: { receipt: ExportResult['receipt'] }) {
  const share = receipt.effect > 0 ? receipt.maxLogitDifference / receipt.effect : Number.POSITIVE_INFINITY;
  const good = share <= ROUNDING;
  const ranks = Object.values(receipt.ranks);
  const spread = [...new Set(ranks)].sort((a, b) => a - b);
  return (
    <div className="pb-scroll" data-testid="receipt">
      <div className="pb">
        <p className="dim fs12">{words.receiptText}</p>
        <div className={good ? 'read-row' : 'read-row danger'}>
          <span className="read" data-testid="receipt-difference">{tiny(receipt.maxLogitDifference)}<small>{words.difference}</small></span>
        </div>
        {Number.isFinite(share) && <p className="dim fs12">{words.ofEffect(percent(share))}</p>}
        {!good && <p className="danger fs12">{words.notExact}</p>}
        <ul className="checks">
          <Line good={receipt.effect > 0} name={words.effect} value={tick(receipt.effect)} text={words.effectText} />
          <Line good name={words.tokens} value={words.tokensUnit(receipt.tokens)} />
          <Line good name={words.modules} value={count(receipt.modules)} text={words.modulesText} />
          <Line good name={words.dropped} value={count(receipt.droppedModules.length)} text={receipt.droppedModules.length > 0 ? words.droppedText : words.droppedNone} />
          <Line good name={words.ranks} value={spread.length === 1 ? words.ranksAll(spread[0] as number) : `${spread[0] ?? 0} … ${spread.at(-1) ?? 0}`} />
          <Line good name={words.size} value={bytes(receipt.bytes)} />
        </ul>
        {spread.length > 1 && <RankBars ranks={ranks} spread={spread} />}
        {receipt.droppedModules.length > 0 && <ul className="dropped num">{receipt.droppedModules.map((name) => <li key={name} className="ell" title={name}>{name}</li>)}</ul>}
        <h3 className="sub">{words.sha}</h3>
        <p className="sha num">{receipt.sha256}</p>
      </div>
    </div>
  );
}

function Line({ good, name, value, text }: { good: boolean; name: string; value: string; text?: string }) {
  return (
    <li>
      <span className={good ? 'dim' : 'danger'}><Icon of={good ? Check : TriangleAlert} size={14} /></span>
      <span>{name}</span>
      <span className="num">{value}</span>
      {text && <p>{text}</p>}
    </li>
  );
}

/** How many modules ended at each rank. */
function RankBars({ ranks, spread }: { ranks: readonly number[]; spread: readonly number[] }) {
  const most = Math.max(...spread.map((rank) => ranks.filter((r) => r === rank).length));
  return (
    <div className="rank-bars">
      {spread.map((rank) => {
        const n = ranks.filter((r) => r === rank).length;
        return <p key={rank}><span className="num hint">{rank}</span><i style={{ width: `${(100 * n) / most}%` }} /><span className="num">{n}</span></p>;
      })}
    </div>
  );
}
