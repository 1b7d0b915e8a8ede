// A repository of the Hub as the model or the data: looked up first, with its size and whether it fits, then fetched.
import { Download } from 'lucide-react';
import { type FormEvent, type ReactNode, useState } from 'react';
import type { HubCard } from '../../store/contract';
import { useApp, useStudio } from '../context';
import { Banner } from '../controls/Banner';
import { FailureBanner } from '../controls/FailureBanner';
import { Icon } from '../controls/Icon';
import { bytes, count } from '../format';
import { strings } from '../strings';

const words = strings.sources;
const HUB = 'https://huggingface.co';

export function HubSource({ kind }: { kind: HubCard['kind'] }) {
  const { ask } = useApp();
  const found = useStudio((state) => state.sources.hub[kind]);
  const source = useStudio((state) => state.project.draft[kind === 'model' ? 'model' : 'data']);
  const [name, setName] = useState(found.name || (source.kind === 'hub' ? source.name : ''));
  const [token, setToken] = useState('');
  const [address, setAddress] = useState(HUB);
  const lookUp = async () => {
    await ask.setHub({ endpoint: address, token });
    await ask.lookUp(kind, name);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void lookUp();
  };
  const label = kind === 'model' ? words.hubModel : words.hubData;
  const again = <button type="button" className="btn" onClick={() => void lookUp()}>{words.again}</button>;
  return (
    <div className="pb hub-source">
      <form className="col gap2" onSubmit={submit}>
        <div className="row">
          <input className="box text-box grow" aria-label={label} placeholder={words.hubHint[kind]} value={name} spellCheck={false} autoComplete="off" data-testid={`hub-name-${kind}`} onChange={(event) => setName(event.target.value)} />
          <button type="submit" className="btn" disabled={name.trim() === '' || found.status === 'looking'} data-testid={`hub-look-${kind}`}>{found.status === 'looking' ? words.looking : words.lookUp}</button>
        </div>
        <details>
          <summary className="hint fs12">{words.access}</summary>
          <div className="col gap2 hub-access">
            <label className="col fs12"><span className="dim">{words.token}</span><input type="password" className="box text-box" placeholder={words.tokenHint} value={token} autoComplete="off" data-testid={`hub-token-${kind}`} onChange={(event) => setToken(event.target.value)} /></label>
            <p className="hint fs12">{words.tokenHelp}</p>
            <label className="col fs12"><span className="dim">{words.address}</span><input className="box text-box" value={address} spellCheck={false} data-testid={`hub-address-${kind}`} onChange={(event) => setAddress(event.target.value)} /></label>
          </div>
        </details>
      </form>
      {found.status === 'failed' && found.error && <FailureBanner title={words.notFound(found.name)} failure={found.error} actions={again} />}
      {found.status === 'found' && found.card && <Found key={`${found.card.name} ${found.card.commit}`} card={found.card} host={hostOf(address)} again={again} />}
    </div>
  );
}

function hostOf(address: string): string {
  try {
    return new URL(address).host;
  } catch {
    return address;
  }
}

function Found({ card, host, again }: { card: HubCard; host: string; again: ReactNode }) {
  const { ask } = useApp();
  const [path, setPath] = useState(card.files[0]?.path ?? '');
  const { kind, files, model, failure, room } = card;
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const wanted = kind === 'model' ? total - card.here : (files.find((file) => file.path === path)?.size ?? 0);
  const name = kind === 'model' || card.name.includes(':') ? card.name : `${card.name}:${path}`;
  return (
    <div className="hub-found" data-testid={`hub-found-${kind}`}>
      <dl className="kv">
        {model && <div><dt>{strings.build.architecture}</dt><dd>{strings.build.layersOf(model.architecture, model.layers)}</dd></div>}
        {model && <div><dt>{strings.build.parameters}</dt><dd>{count(model.parameters)}</dd></div>}
        {model && <div><dt>{words.numbers}</dt><dd>{model.dtype}</dd></div>}
        <div><dt>{words.files}</dt><dd>{words.filesOf(files.length, bytes(total))}</dd></div>
        <div><dt>{words.commit}</dt><dd>{card.commit.slice(0, 12)}{card.gated && `, ${words.gated}`}</dd></div>
      </dl>
      {kind === 'dataset' && files.length > 1 && (
        <fieldset className="hub-files">
          <legend className="sub"><h3>{words.dataFiles}</h3></legend>
          {files.slice(0, 40).map((file) => (
            <label key={file.path}><input type="radio" name="hub-file" checked={file.path === path} onChange={() => setPath(file.path)} /><span className="ell">{file.path}</span><span className="num hint">{bytes(file.size)}</span></label>
          ))}
        </fieldset>
      )}
      {failure && <FailureBanner title={words.notFound(card.name)} failure={failure} actions={again} />}
      {model && (
        <>
          <div className="sub"><h3>{words.fits}</h3><span className="hint">{words.fitsHint}</span></div>
          {model.problem ? <Banner tone="warn" title={words.fitsNo}><p>{model.problem.message}</p><p>{model.problem.hint}</p></Banner> : <p className="fs12 dim" data-testid="hub-fits">{words.fitsYes(bytes(model.peakBytes))}</p>}
        </>
      )}
      {room !== undefined && wanted > room && <Banner tone="warn" title={words.noRoom(bytes(wanted), bytes(room))} />}
      {!failure && (
        <>
          <button type="button" className="btn wide" data-testid={`hub-use-${kind}`} onClick={() => ask.takeHub(kind, name)}>
            {wanted > 0 ? <><Icon of={Download} />{words.fetch(bytes(wanted), host)}</> : words.useHere}
          </button>
          <p className="hint fs12">{words.fetchNote}</p>
        </>
      )}
    </div>
  );
}
