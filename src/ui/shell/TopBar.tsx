// Brand, stages, search, device, theme.
import { Moon, Search, ShieldCheck, Sun, TriangleAlert } from 'lucide-react';
import { activeRun } from '../../store/slices/runs';
import { NUMBERED, type Panel } from '../../store/slices/layout';
import { useApp, useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { Tip } from '../controls/Tip';
import { strings } from '../strings';
import { DevicePanel } from './DevicePanel';
import { KeysPanel } from './KeysPanel';
import { Logo } from './Logo';
import { openOverlay } from './overlays';
import { platformKeys } from './platform';

export function TopBar() {
  const { edit } = useApp();
  const theme = useStudio((state) => state.layout.theme);
  const status = useStudio((state) => state.engine.status);
  return (
    <header className="top">
      <div className="brand"><Logo /><span>{strings.common.name}</span></div>
      <Stages />
      <div className="tools">
        <button type="button" className="find" aria-label={strings.shell.find} data-testid="find" onClick={() => openOverlay('palette')}>
          <Icon of={Search} size={14} /><span className="desk">{strings.shell.find}</span><kbd className="kcap desk">{platformKeys('⌘K')}</kbd>
        </button>
        <Tip side="bottom" content={<p>{strings.shell.localHelp}</p>}>
          <span className="chipbtn still desk"><Icon of={ShieldCheck} />{strings.shell.local}</span>
        </Tip>
        {(status === 'starting' || status === 'recovering') && <span className="chipbtn still">{strings.engine[status]}</span>}
        {(status === 'unsupported' || status === 'lost' || status === 'crashed') && (
          <span className="chipbtn still danger"><Icon of={TriangleAlert} />{strings.engine[status]}</span>
        )}
        {status === 'ready' && <DevicePanel />}
        <button type="button" className="iconbtn" aria-label={strings.shell.theme} title={strings.shell.theme} onClick={() => edit.layout({ theme: theme === 'dark' ? 'light' : 'dark' })}>
          <Icon of={theme === 'dark' ? Sun : Moon} />
        </button>
        <KeysPanel />
      </div>
    </header>
  );
}

/** The five stages, and the methods and the playground beside them; at the top on a wide screen, at the thumb on a phone. */
export function Stages({ phone = false }: { phone?: boolean }) {
  const { edit } = useApp();
  const panel = useStudio((state) => state.layout.panel);
  const live = useStudio((state) => activeRun(state.runs)?.status ?? null);
  const tab = (id: Panel, key: string) => (
    <button key={id} type="button" aria-current={panel === id ? 'page' : undefined} data-testid={phone ? undefined : `tab-${id}`} onClick={() => edit.open(id)}>
      {strings.panels[id]}
      {id === 'train' && live ? <i className={live === 'running' ? 'live-dot' : 'live-dot still'} title={strings.train.status[live]} /> : <kbd>{key}</kbd>}
    </button>
  );
  return (
    <nav className={phone ? 'phone-stages' : 'stages'} aria-label={strings.stages}>
      {NUMBERED.map((id, index) => tab(id, String(index + 1)))}
      {!phone && <i className="divider" />}
      {tab('methods', 'M')}
      {tab('playground', 'P')}
    </nav>
  );
}
