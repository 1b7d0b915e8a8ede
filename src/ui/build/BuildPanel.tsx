// Model, data, method, plan: the four panes of a setup, left to right as it is thought.
import { useStudio } from '../context';
import { strings } from '../strings';
import { DataPane } from './DataPane';
import { MethodPane } from './MethodPane';
import { ModelPane } from './ModelPane';
import { PhoneTrain, PlanPane } from './PlanPane';

export function BuildPanel() {
  const starting = useStudio((state) => state.engine.status === 'starting');
  return (
    <main className="build" aria-label={strings.panels.build} aria-busy={starting}>
      <ModelPane />
      <DataPane />
      <MethodPane />
      <PlanPane />
      <PhoneTrain />
    </main>
  );
}
