// What is being read, at the end of a pane's head, its share read, with a 3 px bar along its foot. No spinner, and nothing moves for it.
import { useApp, useStudio } from '../context';
import { strings } from '../strings';

export function LoadBar({ label }: { label: string }) {
  const { ask } = useApp();
  const progress = useStudio((state) => state.engine.progress);
  const share = progress ? Math.floor((100 * progress.done) / Math.max(1, progress.total)) : 0;
  return (
    <span className="load end" role="status">
      <span className="ell">{progress?.task ?? label}</span>
      {progress && <span className="num">{share} %</span>}
      <button type="button" className="btn ghost" data-testid="cancel-load" onClick={() => ask.cancelLoad()}>{strings.sources.cancel}</button>
      <span className="load-track"><i className={progress ? '' : 'open'} style={progress ? { width: `${share}%` } : {}} /></span>
    </span>
  );
}
