// What is being read, at the end of a pane's head, with a 3 px bar along its foot. No spinner, and nothing moves for it.
import { useStudio } from '../context';
import { count } from '../format';
import { strings } from '../strings';

export function LoadBar({ label }: { label: string }) {
  const progress = useStudio((state) => state.engine.progress);
  return (
    <span className="load end" role="status">
      <span className="ell">{progress?.task ?? label}</span>
      {progress && <span className="num">{count(progress.done)} {strings.common.of} {count(progress.total)}</span>}
      <span className="load-track"><i className={progress ? '' : 'open'} style={progress ? { width: `${(100 * progress.done) / Math.max(1, progress.total)}%` } : {}} /></span>
    </span>
  );
}
