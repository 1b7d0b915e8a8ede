// What the model is to learn, where it can learn more than one thing; and how the classes of pictures are put into words.
import { CONTRAST, DEFAULT_TEMPLATE, MOST_SCALE, tasks, type TaskName, tasksFor } from '../../store/contract';
import { useApp, useStudio } from '../context';
import { NumberBox } from '../controls/NumberBox';
import { SelectBox } from '../controls/SelectBox';
import { strings } from '../strings';

const words = strings.build;

export function TaskChoice() {
  const { edit } = useApp();
  const kind = useStudio((state) => state.project.model.card?.kind);
  const task = useStudio((state) => state.project.draft.task);
  const template = useStudio((state) => state.project.draft.template ?? DEFAULT_TEMPLATE);
  const scale = useStudio((state) => state.project.draft.scale ?? CONTRAST.scale);
  const symmetric = useStudio((state) => state.project.draft.symmetric ?? CONTRAST.symmetric);
  const open = kind === undefined || kind === 'conv' ? [] : tasksFor(kind);
  if (open.length < 2 || !open.includes(task)) return null;
  return (
    <div className="pb task-choice">
      <div className="row"><span className="hint fs12">{words.task}</span><SelectBox label={words.task} value={task} options={open.map((name) => ({ value: name, label: tasks[name].title }))} testid="task" onChange={(name) => edit.task(name as TaskName)} /></div>
      {task === 'image-text' && <input className="box text-box" aria-label={words.template} title={words.templateHelp} value={template} data-testid="template" onChange={(event) => edit.template(event.target.value)} />}
      {task === 'sentence-embedding' && (
        <div className="row" title={words.scaleHelp}>
          <span className="hint fs12">{words.scale}</span>
          <NumberBox label={words.scale} value={scale} min={0.01} max={MOST_SCALE} integer={false} step={(value, by) => value + by} changed={scale !== CONTRAST.scale} testid="scale" onChange={(value) => edit.scale(value)} />
          <SelectBox label={words.direction} value={String(symmetric)} options={[{ value: 'false', label: words.oneWay }, { value: 'true', label: words.bothWays }]} testid="symmetric" onChange={(value) => edit.symmetric(value === 'true')} />
        </div>
      )}
    </div>
  );
}
