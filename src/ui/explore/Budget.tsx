// The parameters of the present cut spent in other ways: one rank for all, by energy, by what each module was measured to be worth.
import { cutOf, sizeOf } from '../../store/explore';
import { useApp } from '../context';
import { count, loss } from '../format';
import { strings } from '../strings';
import { useExplore } from './use-explore';

const words = strings.explore;

export function Budget() {
  const { explore } = useApp();
  const parameters = useExplore((state) => sizeOf(state, cutOf(state).keep).parameters);
  const modules = useExplore((state) => state.card?.modules.length ?? 0);
  const whole = useExplore((state) => state.whole);
  const importance = useExplore((state) => state.importance);
  const allocations = useExplore((state) => state.allocations);
  const task = useExplore((state) => state.task);
  const best = allocations ? Math.min(...allocations.rows.map((row) => row.loss)) : null;
  return (
    <div className="ab budget">
      <p className="fs12 dim">{words.budgetText(parameters)}</p>
      <div className="row wrap">
        <button type="button" className="btn" disabled={!whole || task !== null || parameters === 0} onClick={() => void explore.allocations()} data-testid="allocate-button">{words.allocate}</button>
        <button type="button" className="btn" disabled={!whole || task !== null} onClick={() => void explore.importance()} data-testid="importance-button">{importance ? words.importanceAgain : words.importance(modules)}</button>
      </div>
      <p className="hint fs12">{importance ? words.importanceDone : words.importanceText}</p>
      {allocations && (
        <table className="tbl" aria-label={words.allocationsOf(allocations.budget)}>
          <thead><tr><th scope="col">{words.spent}</th><th scope="col" className="r">{words.keptShort}</th><th scope="col" className="r">{words.parametersShort}</th><th scope="col" className="r">{words.lossShort}</th><th scope="col"><span className="vh">{words.use}</span></th></tr></thead>
          <tbody>
            {allocations.rows.map((row) => (
              <tr key={row.name}>
                <th scope="row">{words.allocationNames[row.name]}</th>
                <td className="r">{count(row.components)}</td>
                <td className="r">{count(row.parameters)}</td>
                <td className={row.loss === best ? 'r strong' : 'r dim'} data-testid={`allocation-${row.name}`}>{loss(row.loss)}</td>
                <td className="r"><button type="button" className="btn ghost" aria-label={words.takeOf(words.allocationNames[row.name])} onClick={() => explore.giveAll(row.keep)}>{words.use}</button></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {allocations && <p className="hint fs11">{words.allocationsNote(allocations.budget)}</p>}
    </div>
  );
}
