// What a run was asked to do, in short.
import { useStudio } from '../context';
import type { Field, FieldValue } from '../../store/contract';
import type { RunRecord } from '../../store/slices/runs';
import { count, setting } from '../format';
import { strings } from '../strings';

/** A field's value in the words of its control. */
function said(field: Field, value: FieldValue): string {
  if (field.kind === 'bool') return value ? strings.common.on : strings.common.off;
  if (field.kind === 'choice') return field.options.find((option) => option.value === value)?.label ?? String(value);
  return setting(Number(value));
}

export function RunFacts({ run }: { run: RunRecord }) {
  const fields = useStudio((state) => state.engine.methods.find((method) => method.slug === run.config.method.slug)?.fields);
  const { method, training } = run.config;
  const own = Object.entries(fields ?? {}).slice(0, 5).map(([name, field]) => {
    const value = method.fields[name] ?? field.default;
    return [field.label, said(field, value)] as const;
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
