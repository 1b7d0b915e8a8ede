// PEFT adapters on the loaded model: put there by a drop, to be written with, or trained on from.
import { X } from 'lucide-react';
import { useApp, useStudio } from '../context';
import { DropZone } from '../controls/DropZone';
import { FailureBanner } from '../controls/FailureBanner';
import { Icon } from '../controls/Icon';
import { useGiveFiles } from '../controls/use-give-files';
import { strings } from '../strings';

const words = strings.sources;

export function Adapters() {
  const { ask } = useApp();
  const give = useGiveFiles();
  const { adapters, adapterError, trainOn } = useStudio((state) => state.sources);
  return (
    <>
      <h3 className="sub">{words.adapters}</h3>
      {adapters.length > 0 && (
        <ul className="adapter-list" data-testid="adapters">
          {adapters.map(({ id, name, method, modules, ranks, notes }) => (
            <li key={id}>
              <span className="ell" title={notes.join(' ')}>{name}</span>
              <span className="hint">{words.adapterFacts(method, modules, ranks && (ranks[0] === ranks[1] ? String(ranks[0]) : `${ranks[0]} to ${ranks[1]}`))}</span>
              {ranks && <label title={words.trainOnHint}><input type="checkbox" checked={trainOn === id} onChange={(event) => ask.trainOn(event.target.checked ? id : null)} />{words.trainOn}</label>}
              <button type="button" className="iconbtn" aria-label={words.remove(name)} onClick={() => void ask.removeAdapter(id)}><Icon of={X} size={14} /></button>
            </li>
          ))}
        </ul>
      )}
      {adapterError && <FailureBanner title={words.adapterFailed} failure={adapterError} />}
      <DropZone folder label={words.adapterFiles} testid="drop-zone-adapter" inputTestid="file-input-adapter" onFiles={give}>{words.adaptersNone}</DropZone>
    </>
  );
}
