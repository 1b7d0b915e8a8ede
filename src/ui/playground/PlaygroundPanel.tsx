// Trying the model out: what it makes of one's own picture or text; of a model that writes, one prompt, written on by the base, by each adapter at its own strength, and by all of them at once.
import { lazy, Suspense, useRef, useState } from 'react';
import { type Failure, readsPictures, type Voice, type Written } from '../../store/contract';
import { useApp, useShallowStudio, useStudio } from '../context';
import { FailureBanner } from '../controls/FailureBanner';
import { FieldControl } from '../controls/FieldControl';
import { strings } from '../strings';
import { EmptyPanel } from '../train/EmptyPanel';

const words = strings.playground;
const [number, whole] = [(label: string, help: string, rest: { default: number; min: number; max: number }) => ({ kind: 'float', label, help, ...rest }) as const, (label: string, help: string, rest: { default: number; min: number; max: number }) => ({ kind: 'int', label, help, ...rest }) as const];
const SETTINGS = {
  maxTokens: whole(words.maxTokens[0] as string, words.maxTokens[1] as string, { default: 60, min: 1, max: 512 }),
  temperature: number(words.temperature[0] as string, words.temperature[1] as string, { default: 0.7, min: 0, max: 2 }),
  topK: whole(words.topK[0] as string, words.topK[1] as string, { default: 0, min: 0, max: 200 }),
  topP: number(words.topP[0] as string, words.topP[1] as string, { default: 0.9, min: 0.05, max: 1 }),
  seed: whole(words.seed[0] as string, words.seed[1] as string, { default: 7, min: 0, max: 9999 }),
};
const STRENGTH = (name: string) => number(words.strength(name), words.strengthHint, { default: 1, min: 0, max: 1.5 });
const CHAT = { kind: 'bool', label: words.chat, help: words.chatHelp, default: false } as const;
type Settings = { [K in keyof typeof SETTINGS]: number };

interface Source { key: string; name: string; part: (weight: number) => Voice['parts'][number] }
interface Shown { name: string; tone: 'was' | 'acc'; text: string; result: Written | null }

const PictureTry = lazy(async () => ({ default: (await import('../pictures/PictureTry')).PictureTry }));
const TextTry = lazy(async () => ({ default: (await import('./TextTry')).TextTry }));

export function PlaygroundPanel() {
  const kind = useStudio((state) => state.project.model.card?.kind ?? '');
  if (readsPictures(kind)) return <Suspense><PictureTry /></Suspense>;
  return kind === 'encoder' ? <Suspense><TextTry /></Suspense> : <Writing />;
}

function Writing() {
  const { ask } = useApp();
  const model = useStudio((state) => state.project.model.card);
  const adapters = useStudio((state) => state.sources.adapters);
  const runs = useShallowStudio((state) => state.runs.order.map((id) => state.runs.byId[id]).filter((run) => run !== undefined && run.status !== 'preparing' && run.labels.model === state.project.model.card?.name));
  const sample = useStudio((state) => state.project.draft.sample);
  const [prompt, setPrompt] = useState(sample.prompt);
  const [chat, setChat] = useState(false);
  const [stops, setStops] = useState('');
  const [settings, setSettings] = useState<Settings>(() => ({ ...(Object.fromEntries(Object.entries(SETTINGS).map(([name, field]) => [name, field.default])) as Settings), temperature: sample.temperature, maxTokens: sample.maxTokens }));
  const [strengths, setStrengths] = useState<Readonly<Record<string, number>>>({});
  const [shown, setShown] = useState<readonly Shown[]>([]);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const current = useRef(0);
  if (!model) return <EmptyPanel title={words.noModel} text={words.noAdapters} />;

  const sources: Source[] = [
    ...runs.flatMap((run) => (run ? [{ key: run.id, name: words.ofRun(run.name, run.step), part: (weight: number) => ({ run: run.id, weight }) }] : [])),
    ...adapters.map(({ id, name }) => ({ key: id, name, part: (weight: number) => ({ adapter: id, weight }) })),
  ];
  const strengthOf = (key: string) => strengths[key] ?? 1;
  const write = async () => {
    const voices: { voice: Voice; shown: Shown }[] = [
      { voice: { parts: [] }, shown: { name: words.base, tone: 'was', text: '', result: null } },
      ...sources.map(({ key, name, part }) => ({ voice: { parts: [part(strengthOf(key))] }, shown: { name: strengthOf(key) === 1 ? name : `${name} × ${strengthOf(key)}`, tone: 'acc', text: '', result: null } as Shown })),
      ...(sources.length > 1 ? [{ voice: { parts: sources.map(({ key, part }) => part(strengthOf(key))) }, shown: { name: words.blend, tone: 'acc', text: '', result: null } as Shown }] : []),
    ];
    const number = ++current.current;
    setBusy(true);
    setFailure(null);
    setShown(voices.map((entry) => entry.shown));
    const put = (at: number, change: (was: Shown) => Shown) => {
      if (number === current.current) setShown((all) => all.map((one, i) => (i === at ? change(one) : one)));
    };
    const stop = stops.split('\n').map((line) => line.replace(/\\n/g, '\n')).filter((line) => line !== '');
    const result = await ask.write({ prompt, chat, stop, ...settings, voices: voices.map((entry) => entry.voice) }, (at, piece) => put(at, (was) => ({ ...was, text: was.text + piece })));
    setBusy(false);
    if (!Array.isArray(result)) setFailure(result as Failure);
    else for (const [at, one] of (result as Written[]).entries()) put(at, (was) => ({ ...was, text: one.text, result: one }));
  };
  return (
    <main className="playground" aria-label={strings.panels.playground}>
      <section className="pane" aria-label={words.settings}>
        <div className="ph"><h2>{words.settings}</h2><span className="meta">{model.name}</span></div>
        <form
          className="pb-scroll"
          onSubmit={(event) => {
            event.preventDefault();
            void write();
          }}
        >
          <div className="pb">
            <textarea className="area" rows={4} aria-label={words.prompt} placeholder={words.promptHint} value={prompt} data-testid="play-prompt" onChange={(event) => setPrompt(event.target.value)} />
            <FieldControl name="chat" field={CHAT} value={chat} onChange={(value) => setChat(value === true)} />
            {(Object.keys(SETTINGS) as (keyof Settings)[]).map((name) => (
              <FieldControl key={name} name={`play-${name}`} field={SETTINGS[name]} value={settings[name]} onChange={(value) => setSettings((was) => ({ ...was, [name]: Number(value) }))} />
            ))}
            <div className="sub"><h3>{words.stop}</h3><span className="hint">{words.stopHint}</span></div>
            <textarea className="area" rows={2} aria-label={words.stop} value={stops} spellCheck={false} data-testid="play-stop" onChange={(event) => setStops(event.target.value)} />
            <div className="sub"><h3>{words.voices}</h3><span className="hint">{words.voicesHint}</span></div>
            {sources.map(({ key, name }) => <FieldControl key={key} name={`strength-${key}`} field={STRENGTH(name)} value={strengthOf(key)} onChange={(value) => setStrengths((was) => ({ ...was, [key]: Number(value) }))} />)}
            {sources.length === 0 && <p className="hint fs12">{words.noAdapters}</p>}
            <div className="row play-actions">
              {busy
                ? <button type="button" className="btn lg wide" data-testid="play-stop-button" onClick={() => ask.stopWriting()}>{words.stopButton}</button>
                : <button type="submit" className="btn primary lg wide" disabled={prompt.trim() === ''} data-testid="play-write">{words.write}</button>}
            </div>
          </div>
        </form>
      </section>
      <section className="pane" aria-label={words.voices}>
        <div className="ph"><h2>{words.voices}</h2><span className="meta">{words.voicesHint}</span></div>
        <div className="rule" />
        {failure && <FailureBanner title={words.failed} failure={failure} />}
        <div className="voices" aria-live="polite" aria-busy={busy}>
          {shown.length === 0 && <p className="pb hint fs12">{words.waiting}</p>}
          {shown.map(({ name, tone, text, result }, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a voice is its place.
            <article key={i} className="voice" data-testid={`voice-${i}`}>
              <header><b className={`ell ${tone}`}>{name}</b><span className="hint num fs12">{result && `${words.facts(result.tokens, (result.tokens / Math.max(result.seconds, 1e-3)).toFixed(0))}${result.stopped ? `, ${words.stopped}` : ''}`}</span></header>
              <p className={tone === 'was' ? 'text was' : 'text'}>{text}</p>
            </article>
          ))}
        </div>
      </section>
    </main>
  );
}
