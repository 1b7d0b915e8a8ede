// The page where no WebGPU device is to be had: which rung is missing, and the steps that add it.
import { Check, X } from 'lucide-react';
import { Tabs } from 'radix-ui';
import { useEffect } from 'react';
import { useStudio } from '../context';
import { CopyButton, CopyLine } from '../controls/CopyLine';
import { FailureBanner } from '../controls/FailureBanner';
import { Icon } from '../controls/Icon';
import { commandOf } from '../build/command';
import { strings } from '../strings';
import { BROWSERS, detectBrowser, SOFTWARE_FLAGS } from './browser-steps';

const words = strings.noWebgpu;

export function NoWebGpu() {
  const failure = useStudio((state) => state.engine.failure);
  const draft = useStudio((state) => state.project.draft);
  const catalogue = useStudio((state) => state.engine.data);
  const known = 'gpu' in navigator;
  useEffect(() => {
    // Back from the settings: look again without being asked.
    const look = async () => {
      if (!document.hidden && (await navigator.gpu?.requestAdapter())) location.reload();
    };
    const onVisible = () => void look();
    document.addEventListener('visibilitychange', onVisible);
    return () => document.removeEventListener('visibilitychange', onVisible);
  }, []);
  const report = [navigator.userAgent, `secure: ${isSecureContext}`, `navigator.gpu: ${known}`, failure ? `${failure.name}: ${failure.message}` : ''].join('\n');
  return (
    <main className="no-webgpu" data-testid="no-webgpu">
      <section className="pane">
        <div className="pb-scroll lead">
          <h1>{words.title}</h1>
          <p className="dim">{words.text}</p>
          <Ladder states={[isSecureContext, known, false]} />
          {failure && <FailureBanner failure={failure} />}
          <div className="row">
            <button type="button" className="btn primary lg" onClick={() => location.reload()}>{words.check}</button>
            <CopyButton text={report} label={words.report} className="btn lg" />
          </div>
          <p className="hint fs12">{words.itself}</p>
        </div>
      </section>
      <section className="pane" aria-label={words.browsers}>
        <Tabs.Root defaultValue={detectBrowser(navigator.userAgent)} className="tabs-root">
          <Tabs.List className="tabs tall" aria-label={words.browsers}>{BROWSERS.map(({ id, label }) => <Tabs.Trigger key={id} value={id}>{label}</Tabs.Trigger>)}</Tabs.List>
          {BROWSERS.map(({ id, steps, note }) => (
            <Tabs.Content key={id} value={id} className="tabs-page browser">
              <ol className="browser-steps">
                {steps.map((step) => (
                  <li key={step.title}>
                    <div>
                      <b>{step.title}</b>
                      <p>{step.text}</p>
                      {step.copy?.map((text) => <CopyLine key={text} text={text} />)}
                    </div>
                  </li>
                ))}
              </ol>
              {note && <p className="hint fs12">{note}</p>}
            </Tabs.Content>
          ))}
        </Tabs.Root>
      </section>
      <aside className="pane" aria-label={words.meanwhile}>
        <div className="ph tall"><h2>{words.meanwhile}</h2></div>
        <div className="rule" />
        <ul className="pb-scroll meanwhile">
          <li><b>{words.software}</b><p>{words.softwareText}</p><CopyLine text={SOFTWARE_FLAGS} /></li>
          <li><b>{words.cli}</b><p>{words.cliText}</p><CopyLine text={commandOf(draft, catalogue)} /></li>
          <li><b>{words.link}</b><p>{words.linkText}</p><CopyButton text={location.href} label={strings.build.copyLink} className="btn" /></li>
        </ul>
      </aside>
    </main>
  );
}

/** What must hold, from the bottom up; the first that does not is the reason. */
function Ladder({ states }: { states: readonly boolean[] }) {
  const rungs = [words.ladder.secure, words.ladder.known, words.ladder.adapter];
  const failing = states.indexOf(false);
  return (
    <ul className="ladder">
      {[...rungs, words.ladder.device].map(([name, good, bad], i) => {
        const state = i < failing ? 'ok' : i === failing ? 'fail' : 'skip';
        return (
          <li key={name} className={state}>
            <span className="dot">{state === 'ok' && <Icon of={Check} size={12} />}{state === 'fail' && <Icon of={X} size={12} />}</span>
            <b>{name}</b>
            <p>{state === 'ok' ? good : state === 'fail' ? bad : words.ladder.device[2]}</p>
          </li>
        );
      })}
    </ul>
  );
}
