// The data: built in, a file of the user's, or pasted text; and how the model sees them.
import { lazy, Suspense, useEffect, useState } from 'react';
import { readsPictures } from '../../store/contract';
import { activeRun } from '../../store/slices/runs';
import { useApp, useStudio } from '../context';
import { Banner } from '../controls/Banner';
import { DropZone } from '../controls/DropZone';
import { FailureBanner } from '../controls/FailureBanner';
import { useGiveFiles } from '../controls/use-give-files';
import { Segmented } from '../controls/Segmented';
import { bytes, count } from '../format';
import { strings } from '../strings';
import { ColumnsMap } from './ColumnsMap';
import { Classes, Hash, Packing, RawRows, Split } from './DataFacts';
import { HubSource } from './HubSource';
import { LengthHistogram } from './LengthHistogram';
import { LoadBar } from './LoadBar';
import { sourceName } from './source-name';
import { TaskChoice } from './TaskChoice';
import { TokenPreview } from './TokenPreview';

const words = strings.build;
const PicturePreview = lazy(async () => ({ default: (await import('../pictures/PicturePreview')).PicturePreview }));

export function DataPane() {
  const source = useStudio((state) => state.project.draft.data);
  const { card, status, error } = useStudio((state) => state.project.data);
  const chosen = useStudio((state) => state.project.draft.columns);
  const [tab, setTab] = useState<string>(source.kind);
  useEffect(() => setTab((now) => (source.kind === 'file' && now === 'paste' ? now : source.kind)), [source.kind]);
  const shown = status !== 'failed' ? card : null;
  return (
    <section className="pane" aria-label={words.data}>
      <div className="ph">
        <span className="no">2</span><h2>{words.data}</h2>
        <span className="meta">{source.kind === 'file' ? `${source.name}, ${words.readHere}` : source.kind === 'hub' ? strings.sources.readHub(source.name) : ''}</span>
        {status === 'loading' && <LoadBar label={strings.common.loading} />}
      </div>
      <div className="pb">
        <Segmented
          full label={words.data} value={tab} onChange={setTab}
          options={[{ value: 'builtin', label: words.builtin }, { value: 'file', label: words.yourFile }, { value: 'paste', label: words.paste }, { value: 'hub', label: words.hub }]}
        />
      </div>
      <div className="pb-scroll">
        {tab === 'builtin' && <BuiltinData />}
        {tab === 'file' && <OwnFile />}
        {tab === 'paste' && <PasteText />}
        {tab === 'hub' && <HubSource kind="dataset" />}
        <TaskChoice />
        <div className="pb">
          <DataTrouble />
          {status === 'failed' && error?.columns && <ColumnsMap columns={error.columns} used={chosen ?? {}} />}
          {shown && (
            <>
              {shown.columns.length > 0 && source.kind !== 'builtin' && <ColumnsMap columns={shown.columns} used={shown.used} />}
              {shown.cells.length > 0 && source.kind !== 'builtin' && <RawRows card={shown} />}
              {shown.pictures ? <Suspense><PicturePreview pictures={shown.pictures} /></Suspense> : (
                <>
                  <div className="sub"><h3>{words.preview}</h3><span className="hint">{words.previewHint}</span></div>
                  <TokenPreview rows={shown.preview} />
                  <LengthHistogram card={shown} />
                  <Packing card={shown} />
                </>
              )}
              {shown.classes && <Classes classes={shown.classes} />}
              <DataWarnings />
              <Split card={shown} />
              <Hash card={shown} />
            </>
          )}
        </div>
      </div>
    </section>
  );
}

function BuiltinData() {
  const { edit } = useApp();
  const entries = useStudio((state) => state.engine.data);
  const source = useStudio((state) => state.project.draft.data);
  const kind = useStudio((state) => state.project.model.card?.kind);
  return (
    <div role="radiogroup" aria-label={words.data} className="pick-list">
      {entries.map((entry) => {
        const chosen = source.kind === 'builtin' && source.id === entry.id;
        return (
          // biome-ignore lint/a11y/useSemanticElements: a row of facts, pressed as one.
          <button key={entry.id} type="button" role="radio" aria-checked={chosen} className="pick tall" data-testid={`data-${entry.id}`} disabled={kind !== undefined && readsPictures(kind) !== (entry.format === 'pictures')} onClick={() => edit.data({ kind: 'builtin', id: entry.id })}>
            <span className="ell">{entry.title}</span>
            <span className="hint">{count(entry.rows)} {entry.format === 'pictures' ? words.pictures : words.rows}</span>
            <span className="num">{bytes(entry.bytes)}</span>
            <span className="pick-note" title={entry.summary}>{entry.summary}</span>
          </button>
        );
      })}
    </div>
  );
}

function OwnFile() {
  const give = useGiveFiles();
  const pictures = useStudio((state) => readsPictures(state.project.model.card?.kind ?? ''));
  return (
    <div className="pb col gap2">
      <DropZone label={words.dataFile} accept={pictures ? '.zip,.parquet' : '.txt,.md,.jsonl,.ndjson,.json,.csv,.tsv,.parquet'} testid="drop-zone" inputTestid="file-input-data" onFiles={give}>{pictures ? words.pictureDrop : words.dataDrop}</DropZone>
      {pictures && <DropZone folder label={words.pictureFolder} testid="drop-zone-pictures" inputTestid="file-input-pictures" onFiles={give}>{words.pictureFolderDrop}</DropZone>}
    </div>
  );
}

function PasteText() {
  const { ask } = useApp();
  const [text, setText] = useState('');
  return (
    <form
      className="pb col gap2"
      onSubmit={(event) => {
        event.preventDefault();
        ask.giveText(text.trimStart().startsWith('{') ? words.pastedRows : words.pastedText, text);
      }}
    >
      <textarea className="area" aria-label={words.pasteLabel} placeholder={words.pasteHint} rows={6} value={text} data-testid="paste-area" onChange={(event) => setText(event.target.value)} />
      <div className="row"><button type="submit" className="btn" disabled={text.trim() === ''}>{words.pasteUse}</button></div>
    </form>
  );
}

function DataTrouble() {
  const { ask, vault } = useApp();
  const source = useStudio((state) => state.project.draft.data);
  const { status, error, good } = useStudio((state) => state.project.data);
  const held = useStudio((state) => activeRun(state.runs) !== null);
  const catalogue = useStudio((state) => state.engine.data);
  const back = good && <button type="button" className="btn" onClick={() => ask.goBack('data')}>{words.goBack(sourceName(good, catalogue))}</button>;
  if (source.kind === 'file' && !vault.file(source.name)) return <Banner tone="warn" title={words.dataMissing(source.name)} actions={back} />;
  const again = source.kind === 'hub' && <button type="button" className="btn" onClick={() => ask.retry('data')}>{strings.sources.again}</button>;
  if (status === 'failed' && error) return <FailureBanner title={words.dataFailed(sourceName(source))} failure={error} actions={<>{again}{back}</>} />;
  return held ? <p className="hint fs12">{words.heldByRun}</p> : null;
}

function DataWarnings() {
  const { edit } = useApp();
  const card = useStudio((state) => state.project.data.card);
  const seq = useStudio((state) => state.project.draft.training.seq);
  const context = useStudio((state) => state.project.model.card?.context ?? 0);
  if (!card) return null;
  const raised = Math.min(context, seq * 2);
  return (
    <>
      {card.cutRows > 0 && (
        <Banner
          tone="warn" title={words.cutRows(card.cutRows, seq)}
          actions={raised > seq && <button type="button" className="btn" onClick={() => edit.training({ seq: raised })}>{words.cutRaise(raised)}</button>}
        >
          {words.cutRowsText}
        </Banner>
      )}
      {card.warnings.map((warning) => <Banner key={warning} tone="warn" title={warning} />)}
    </>
  );
}
