// How many of a row's values are not zero, by layer and module: where the method keeps its capacity.
import type { HeatmapData, SiteCard } from '../../store/contract';
import { columnName } from '../build/site-table';
import { strings } from '../strings';
import { overview } from '../views/heatmap';

const words = strings.views;

export function Overview({ data, sites, selected, onSelect }: { data: HeatmapData; sites: readonly SiteCard[]; selected: number; onSelect: (row: number) => void }) {
  const table = overview(data, sites);
  if (!table) return null;
  return (
    <>
      <div className="ph"><h2>{words.overview}</h2><span className="meta">{words.overviewHint(data.columns)}</span></div>
      <div className="pb">
        <table className="counts">
          <thead><tr><td />{table.modules.map((module) => <th key={module} scope="col" title={module}>{columnName(module)}</th>)}</tr></thead>
          <tbody>
            {table.depths.map((depth) => (
              <tr key={depth}>
                <th scope="row">{depth}</th>
                {table.modules.map((module) => {
                  const row = table.at(depth, module);
                  if (!row) return <td key={module} />;
                  const share = row.kept / data.columns;
                  return (
                    <td key={module}>
                      <button
                        type="button" className={row.kept === 0 ? 'count zero' : 'count'} style={{ '--k': share } as React.CSSProperties} data-high={share > 0.6 ? '' : undefined}
                        aria-pressed={row.index === selected} title={row.name} aria-label={`${row.name}: ${row.kept}`} onClick={() => onSelect(row.index)}
                      >
                        {row.kept > 0 ? row.kept : ''}
                      </button>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">Σ</th>
              {table.modules.map((module) => <td key={module} className="num">{table.depths.reduce((sum, depth) => sum + (table.at(depth, module)?.kept ?? 0), 0)}</td>)}
            </tr>
          </tfoot>
        </table>
      </div>
      <div className="rule" />
    </>
  );
}
