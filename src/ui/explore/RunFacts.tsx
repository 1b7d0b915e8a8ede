// What a run was asked to do, in short.
import { useStudio } from '../context';
import type { RunRecord } from '../../store/slices/runs';
import { count, setting } from '../format';
import { strings } from '../strings';

export function RunFacts({ run }: { run: RunRecord }) {
  const fields = useStudio((state) => state.engine.methods.find((method) => method.slug === run.config.method.slug)?.fields);
  const { method, training } = run.config;
  const own = Object.entries(fields ?? {}).slice(0, 5).map(([name, field]) => {
    const value = method.fields[name] ?? field.default;
    return [field.label, typeof value === 'number' ? setting(value) : String(value)] as const;
  });
  const facts = [
    [strings.build.model, run.labels.model], [strings.build.data, run.labels.data], [strings.build.method, run.labels.method], ...own,
    [strings.training.lr[0], setting(training.lr)], [strings.training.steps[0], count(training.steps)], [strings.training.seed[0], String(training.seed)],
  ];
  return (
    <div className="rail-facts">
      <h3 className="sub">{strings.explore.thisRun}</h3>
      <dl className="kv">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd title={value}>{value}</dd></div>)}</dl>
    </div>
  );
}
