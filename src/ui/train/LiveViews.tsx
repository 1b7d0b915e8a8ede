// The method's own pictures while it trains, small. Explore has them large.
import type { RunRecord } from '../../store/slices/runs';
import { useStudio } from '../context';
import { ViewFrame } from '../views/ViewFrame';

export function LiveViews({ run }: { run: RunRecord }) {
  const card = useStudio((state) => state.engine.methods.find((method) => method.slug === run.config.method.slug));
  return card?.views.map((view) => (
    <div key={view.id}>
      <ViewFrame run={run} view={view} />
      <div className="rule" />
    </div>
  ));
}
