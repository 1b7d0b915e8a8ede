// How long the rows are in tokens, and where they are cut.
import type { DataCard } from '../../store/contract';
import { linearTicks } from '../charts/ticks';
import { useStudio } from '../context';
import { count } from '../format';
import { strings } from '../strings';

const words = strings.build;
const HEIGHT = 96;
const FLOOR = 18;

export function LengthHistogram({ card }: { card: DataCard }) {
  const seq = useStudio((state) => state.project.draft.training.seq);
  const { width, counts } = card.lengths;
  const longest = width * counts.length;
  const most = Math.max(1, ...counts);
  // Drawn in a box of 1000 units that stretches; words are set beside it in HTML, so that they do not.
  const x = (tokens: number) => (1000 * tokens) / Math.max(longest, 1);
  const cut = card.cutRows > 0 && seq < longest ? x(seq) : null;
  // A text is cut into rows of one length: there is nothing to see in a single bar.
  const varied = counts.filter((rows) => rows > 0).length > 1;
  return (
    <>
      <div className="sub">
        <h3>{varied ? words.lengths : words.lengthsSame}</h3>
        <span className="end facts">
          <span>{words.rows} <b className="num">{count(card.rows)}</b></span>
          <span>{words.total} <b className="num">{count(card.tokens)}</b></span>
        </span>
      </div>
      {varied && <div className="hist" role="img" aria-label={words.lengthsSummary(card.rows, longest)}>
        <svg viewBox={`0 0 1000 ${HEIGHT - FLOOR}`} preserveAspectRatio="none" aria-hidden="true">
          {counts.map((rows, i) => {
            const height = rows === 0 ? 0 : Math.max(1, ((HEIGHT - FLOOR - 6) * rows) / most);
            const beyond = card.cutRows > 0 && i * width >= seq;
            // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place.
            return <rect key={i} x={x(i * width)} width={Math.max(0.5, x(width) - 2)} y={HEIGHT - FLOOR - height} height={height} fill={beyond ? 'var(--warn)' : 'var(--text-2)'} />;
          })}
        </svg>
        {linearTicks(0, longest, 6).map((at) => <span key={at} className="hist-tick" style={{ left: `${x(at) / 10}%` }}>{at}</span>)}
        {cut !== null && <span className={cut > 700 ? 'hist-cut left' : 'hist-cut'} style={{ left: `${cut / 10}%` }}><i>{words.cutAt(seq)}</i></span>}
      </div>}
    </>
  );
}
