// What was checked after writing, with the numbers: the file was read back and run against the trained adapter.
import { Check, TriangleAlert } from 'lucide-react';
import type { ExportRequest, ExportResult } from '../../store/contract';
import { exportKey } from '../../store/slices/artifacts';
import type { RunRecord } from '../../store/slices/runs';
import { useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { bytes, count, percent, tick, tiny } from '../format';
import { strings } from '../strings';
import { useExportChoice } from './export-choice';
import { pageKey, usePageFiles } from './page-files';

const words = strings.exportPanel;
/** Above this share of the adapter's own effect, the file is not what was trained. */
const ROUNDING = 1e-3;
/** A merged model in fewer bits differs by what rounding costs; above this share of the effect it is worth a word. */
const ROUNDED = 0.5;

export function Receipt({ result, request }: { result: ExportResult | null; request: ExportRequest }) {
  if (!result) return <p className="pb hint fs12 receipt-wait">{words.notYetReceipt}</p>;
  return <Lines receipt={result.receipt} main={(result.files.find((file) => /\.(safetensors|gguf)$/.test(file.name)) ?? result.files[0])?.name ?? ''} request={request} />;
}

/** Of files that the page makes by itself. */
export function PageReceipt({ run }: { run: RunRecord }) {
  const { format } = useExportChoice();
  const kind = format === 'cluster' ? 'cluster' : 'report';
  const made = usePageFiles((state) => state.made[pageKey(run.id, kind)]);
  const adapter = useStudio((state) => state.artifacts.exports[exportKey({ source: { kind: 'run', run: run.id }, format: 'peft', dtype: 'F32' })]?.result ?? null);
  if (!made?.hash) return <p className="pb hint fs12 receipt-wait">{kind === 'cluster' ? words.clusterReceipt : words.reportReceipt}</p>;
  return (
    <div className="pb-scroll" data-testid="receipt">
      <div className="pb">
        {made.notes.map((note) => <p key={note} className="warn fs12">{note}</p>)}
        <ul className="checks">
          <Line good name={words.filesCount} value={count(made.files.length)} />
          <Line good name={words.size} value={bytes(made.files.reduce((sum, file) => sum + file.bytes.length, 0))} />
          {kind === 'cluster' && adapter && <Line good={adapter.receipt.maxLogitDifference <= ROUNDING * adapter.receipt.effect} name={words.difference} value={tiny(adapter.receipt.maxLogitDifference)} text={words.clusterAdapter} />}
          {kind === 'cluster' && <Line good={null} name={words.notRun} value="–" text={words.notRunText} />}
        </ul>
        <h3 className="sub">{words.shaOf(made.hash.name)}</h3>
        <p className="sha num">{made.hash.sha256}</p>
      </div>
    </div>
  );
}

function Lines({ receipt, main, request }: { receipt: ExportResult['receipt']; main: string; request: ExportRequest }) {
  const share = receipt.effect > 0 ? receipt.maxLogitDifference / receipt.effect : Number.POSITIVE_INFINITY;
  const isRounded = request.format === 'merged' && request.dtype !== 'F32';
  const good = share <= (isRounded ? ROUNDED : ROUNDING);
  const ranks = Object.values(receipt.ranks);
  const spread = [...new Set(ranks)].sort((a, b) => a - b);
  return (
    <div className="pb-scroll" data-testid="receipt">
      <div className="pb">
        <p className="dim fs12">{request.format === 'merged' ? words.mergedReceiptText : words.receiptText}</p>
        <div className={good ? 'read-row' : 'read-row danger'}>
          <span className="read" data-testid="receipt-difference">{tiny(receipt.maxLogitDifference)}<small>{words.difference}</small></span>
        </div>
        {Number.isFinite(share) && <p className="dim fs12">{isRounded ? words.ofEffectRounded(percent(share), request.dtype.toLowerCase()) : words.ofEffect(percent(share), percent(ROUNDING))}</p>}
        {!good && <p className="danger fs12">{isRounded ? words.tooRounded : words.notExact}</p>}
        <ul className="checks">
          <Line good={receipt.effect > 0} name={words.effect} value={tick(receipt.effect)} text={words.effectText} testid="receipt-effect" />
          <Line good name={words.tokens} value={words.tokensUnit(receipt.tokens)} />
          <Line good name={words.modules} value={count(receipt.modules)} text={request.format === 'merged' ? words.modulesMerged : words.modulesText} />
          <Line good name={words.dropped} value={count(receipt.droppedModules.length)} text={receipt.droppedModules.length > 0 ? words.droppedText : words.droppedNone} />
          {ranks.length > 0 && <Line good name={words.ranks} value={spread.length === 1 ? words.ranksAll(spread[0] as number) : `${spread[0] ?? 0} … ${spread.at(-1) ?? 0}`} />}
          <Line good name={words.size} value={bytes(receipt.bytes)} />
        </ul>
        {spread.length > 1 && <RankBars ranks={ranks} spread={spread} />}
        {receipt.droppedModules.length > 0 && <ul className="dropped num">{receipt.droppedModules.map((name) => <li key={name} className="ell" title={name}>{name}</li>)}</ul>}
        <h3 className="sub">{words.shaOf(main)}</h3>
        <p className="sha num">{receipt.sha256}</p>
      </div>
    </div>
  );
}

/** `good` null: nothing was checked. */
function Line({ good, name, value, text, testid }: { good: boolean | null; name: string; value: string; text?: string; testid?: string }) {
  return (
    <li>
      <span className={good === false ? 'danger' : 'dim'}>{good !== null && <Icon of={good ? Check : TriangleAlert} size={14} />}</span>
      <span>{name}</span>
      <span className="num" data-testid={testid}>{value}</span>
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
