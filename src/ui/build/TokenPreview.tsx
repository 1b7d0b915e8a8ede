// Rows as the model sees them: token by token, those that carry loss tinted. A press opens a row.
import { useState } from 'react';
import type { TokenRow } from '../../store/contract';
import { count } from '../format';
import { strings } from '../strings';

const words = strings.build;
/** White space that would not be seen. */
const visible = (token: string) => token.replace(/\n/g, '↵').replace(/\t/g, '⇥');

export function TokenPreview({ rows }: { rows: readonly TokenRow[] }) {
  const [open, setOpen] = useState<number | null>(null);
  return (
    <table className="tbl tokens">
      <thead><tr><th>{words.row}</th><th>{words.text}</th><th className="r">{words.tokens}</th></tr></thead>
      <tbody>
        {rows.map((row, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a preview row is its place.
          <tr key={index}>
            <td className="num hint">{index + 1}</td>
            <td className="tokens-text">
              <button type="button" className={open === index ? 'toks open' : 'toks'} aria-expanded={open === index} onClick={() => setOpen(open === index ? null : index)}>
                {row.tokens.map((token, i) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: a token is its place in the row.
                  <span key={i} className={`${row.loss[i] ? 'tok on' : 'tok'}${i % 2 ? ' odd' : ''}`}>{visible(token)}</span>
                ))}
              </button>
            </td>
            <td className="r">{count(row.total)}{row.cut > 0 && <span className="warn fs11"> {words.cutBy(row.cut)}</span>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
