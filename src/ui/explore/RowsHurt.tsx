// Held-out rows by how much the cut raises their loss: the whole adapter's loss, and now.
import { cutOf, same } from '../../store/explore';
import { loss } from '../format';
import { strings } from '../strings';
import { useExplore } from './use-explore';

const words = strings.explore;
const SHOWN = 8;

export function RowsHurt() {
  const card = useExplore((state) => state.card);
  const whole = useExplore((state) => state.whole);
  const measured = useExplore((state) => state.measured);
  const current = useExplore((state) => state.measured !== null && same(state.measured.cut, cutOf(state)));
  if (!card || !whole || !measured) return <p className="ab hint fs12">{words.rowsWait}</p>;
  if (whole.rows.length === 0) return <p className="ab hint fs12">{words.rowsNone}</p>;
  const rows = card.rows.map((text, i) => ({ i, text, before: whole.rows[i] as number, now: measured.result.rows[i] as number })).sort((a, b) => b.now - b.before - (a.now - a.before)).slice(0, SHOWN);
  const [low, high] = [Math.min(...rows.map((row) => Math.min(row.before, row.now))), Math.max(...rows.map((row) => Math.max(row.before, row.now)))];
  const at = (value: number) => 2 + (96 * (value - low)) / Math.max(high - low, 1e-6);
  return (
    <div className="ab">
      <div className="sub"><h3>{words.rowsTitle}</h3><span className="hint">{words.rowsHint}</span></div>
      <ul className={current ? 'rows-hurt' : 'rows-hurt old'}>
        {rows.map((row) => (
          <li key={row.i}>
            <span className="ell dim" title={row.text}>{row.text}</span>
            <span className="dumbbell" aria-hidden="true">
              <i style={{ left: `${Math.min(at(row.before), at(row.now))}%`, width: `${Math.abs(at(row.now) - at(row.before))}%` }} />
              <u style={{ left: `${at(row.before)}%` }} /><b style={{ left: `${at(row.now)}%` }} />
            </span>
            <span className="num"><span className="vh">{words.rowsSaid(loss(row.before))} </span>{loss(row.now)}</span>
          </li>
        ))}
      </ul>
      <p className="hint fs11">{words.rowsCount(card.rows.length, card.tokens)}</p>
    </div>
  );
}
