// The frozen base model: built in, or a Hugging Face folder of the user's; and where adapters attach to it.
import { useEffect, useState } from 'react';
import { activeRun } from '../../store/slices/runs';
import { WEIGHT_KINDS, type WeightKind } from '../../util/packed';
import { useApp, useStudio } from '../context';
import { Banner } from '../controls/Banner';
import { DropZone } from '../controls/DropZone';
import { FailureBanner } from '../controls/FailureBanner';
import { useGiveFiles } from '../controls/use-give-files';
import { Segmented } from '../controls/Segmented';
import { SelectBox } from '../controls/SelectBox';
import { bytes, count, millions } from '../format';
import { strings } from '../strings';
import { Adapters } from './Adapters';
import { HubSource } from './HubSource';
import { LoadBar } from './LoadBar';
import { SiteGrid } from './SiteGrid';
import { sourceName } from './source-name';

const words = strings.build;

export function ModelPane() {
  const source = useStudio((state) => state.project.draft.model);
  const model = useStudio((state) => state.project.model);
  const [tab, setTab] = useState<string>(source.kind);
  useEffect(() => setTab(source.kind), [source.kind]);
  return (
    <section className="pane" aria-label={words.model}>
      <div className="ph"><span className="no">1</span><h2>{words.model}</h2>{model.status === 'loading' ? <LoadBar label={strings.common.loading} /> : <span className="end hint">{words.frozen}</span>}</div>
      <div className="pb">
        <Segmented full label={words.model} value={tab} onChange={setTab} options={[{ value: 'builtin', label: words.builtin }, { value: 'hub', label: words.hub }, { value: 'files', label: words.folder }]} />
      </div>
      <div className="pb-scroll">
        {tab === 'builtin' && <BuiltinModels />}
        {tab === 'hub' && <HubSource kind="model" />}
        {tab === 'files' && <OwnFolder />}
        <ModelTrouble />
        <div className="rule" />
        <div className="pb">
          {model.card && <SiteGrid sites={model.card.sites} />}
          <ModelFacts />
          {model.card && <Adapters />}
        </div>
      </div>
    </section>
  );
}

function BuiltinModels() {
  const { edit } = useApp();
  const models = useStudio((state) => state.engine.models);
  const source = useStudio((state) => state.project.draft.model);
  return (
    <div role="radiogroup" aria-label={words.model} className="pick-list">
      {models.map((model) => {
        const chosen = source.kind === 'builtin' && source.id === model.id;
        return (
          // biome-ignore lint/a11y/useSemanticElements: a row of three facts, pressed as one.
          <button key={model.id} type="button" role="radio" aria-checked={chosen} className="pick" data-testid={`model-${model.id}`} title={model.summary} onClick={() => edit.model({ kind: 'builtin', id: model.id })}>
            <span className="ell">{model.title}</span>
            <span className="hint">{model.kind}</span>
            <span className="num">{millions(model.parameters)}</span>
          </button>
        );
      })}
    </div>
  );
}

function OwnFolder() {
  const { vault } = useApp();
  const give = useGiveFiles();
  const source = useStudio((state) => state.project.draft.model);
  const files = source.kind === 'files' ? vault.folder(source.name) : undefined;
  return (
    <div className="pb">
      {files && (
        <ul className="file-list" aria-label={words.filesRead(files.length)}>
          {files.slice(0, 8).map(({ name, file }) => <li key={name}><span className="ell">{name}</span><span className="num hint">{bytes(file.size)}</span></li>)}
        </ul>
      )}
      <DropZone folder label={words.modelFiles} testid="drop-zone-model" inputTestid="file-input-model" onFiles={give}>{words.folderDrop}</DropZone>
    </div>
  );
}

function ModelTrouble() {
  const { ask, vault } = useApp();
  const source = useStudio((state) => state.project.draft.model);
  const { status, error, good } = useStudio((state) => state.project.model);
  const held = useStudio((state) => activeRun(state.runs) !== null && state.project.model.status !== 'loading');
  const catalogue = useStudio((state) => state.engine.models);
  const back = good && <button type="button" className="btn" onClick={() => ask.goBack('model')}>{words.goBack(sourceName(good, catalogue))}</button>;
  if (source.kind === 'files' && !vault.folder(source.name)) return <div className="pb"><Banner tone="warn" title={words.modelMissing(source.name)} actions={back} /></div>;
  const again = source.kind === 'hub' && <button type="button" className="btn" onClick={() => ask.retry('model')}>{strings.sources.again}</button>;
  if (status === 'failed' && error) return <div className="pb"><FailureBanner title={words.modelFailed(sourceName(source))} failure={error} actions={<>{again}{back}</>} /></div>;
  return held ? <p className="pb hint fs12">{words.heldByRun}</p> : null;
}

function ModelFacts() {
  const card = useStudio((state) => state.project.model.card);
  const source = useStudio((state) => state.project.draft.model);
  const models = useStudio((state) => state.engine.models);
  const builtin = source.kind === 'builtin' ? models.find((model) => model.id === source.id) : undefined;
  if (!card) return null;
  return (
    <>
      <h3 className="sub">{words.layout}</h3>
      <dl className="kv">
        <div><dt>{words.architecture}</dt><dd>{words.layersOf(card.architecture, card.layers)}</dd></div>
        <div><dt>{words.hidden}</dt><dd>{`${card.hidden}, ${card.heads}, ${card.kvHeads}`}</dd></div>
        <div><dt>{words.vocabulary}</dt><dd>{`${count(card.vocab)}, ${count(card.context)}`}</dd></div>
        <div><dt>{words.parameters}</dt><dd>{count(card.parameters)}</dd></div>
        <div><dt>{words.file}</dt><dd>{`${bytes(card.bytes)} ${card.dtype}`}</dd></div>
        {builtin && <div><dt>{words.licence}</dt><dd title={builtin.licence}>{builtin.licence}</dd></div>}
      </dl>
      <KeptAs now={card.weights} />
    </>
  );
}

function KeptAs({ now }: { now: WeightKind }) {
  const { edit } = useApp();
  const wanted = useStudio((state) => state.project.draft.weights ?? 'f32');
  const options = [...WEIGHT_KINDS, 'auto' as const].map((value) => ({ value, label: value === 'auto' && wanted === 'auto' ? `${words.weightKinds.auto}: ${now}` : words.weightKinds[value] }));
  return (
    <div className="row kept-as" title={words.weightsHelp}>
      <span className="hint fs12">{words.weights}</span>
      <SelectBox label={words.weights} value={wanted} options={options} testid="weights" onChange={(value) => edit.weights(value as WeightKind | 'auto')} />
    </div>
  );
}
