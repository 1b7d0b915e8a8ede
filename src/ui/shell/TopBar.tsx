// Brand, stages, device, theme.
import { Moon, ShieldCheck, Sun, TriangleAlert } from 'lucide-react';
import { activeRun } from '../../store/slices/runs';
import { PANELS } from '../../store/slices/layout';
import { useApp, useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { Tip } from '../controls/Tip';
import { strings } from '../strings';
import { DevicePanel } from './DevicePanel';
import { KeysPanel } from './KeysPanel';
import { Logo } from './Logo';

export function TopBar({ keysOpen, onKeysOpen }: { keysOpen: boolean; onKeysOpen: (open: boolean) => void }) {
  const { edit } = useApp();
  const theme = useStudio((state) => state.layout.theme);
  const status = useStudio((state) => state.engine.status);
  return (
    <header className="top">
      <div className="brand"><Logo /><span>{strings.common.name}</span></div>
      <Stages />
      <div className="tools">
        <Tip side="bottom" content={<p>{strings.shell.localHelp}</p>}>
          <span className="chipbtn still desk"><Icon of={ShieldCheck} />{strings.shell.local}</span>
        </Tip>
        {status === 'starting' && <span className="chipbtn still">{strings.engine.starting}</span>}
        {(status === 'unsupported' || status === 'lost' || status === 'crashed') && (
          <span className="chipbtn still danger"><Icon of={TriangleAlert} />{strings.engine[status]}</span>
        )}
        {status === 'ready' && <DevicePanel />}
        <button type="button" className="iconbtn" aria-label={strings.shell.theme} title={strings.shell.theme} onClick={() => edit.layout({ theme: theme === 'dark' ? 'light' : 'dark' })}>
          <Icon of={theme === 'dark' ? Sun : Moon} />
        </button>
        <KeysPanel open={keysOpen} onOpenChange={onKeysOpen} />
      </div>
    </header>
  );
}

/** The four stages; at the top on a wide screen, at the thumb on a phone. */
export function Stages({ phone = false }: { phone?: boolean }) {
  const { edit } = useApp();
  const panel = useStudio((state) => state.layout.panel);
  const live = useStudio((state) => activeRun(state.runs)?.status ?? null);
  return (
    <nav className={phone ? 'phone-stages' : 'stages'} aria-label={strings.stages}>
      {PANELS.map((id, index) => (
        <button key={id} type="button" aria-current={panel === id ? 'page' : undefined} data-testid={phone ? undefined : `tab-${id}`} onClick={() => edit.open(id)}>
          {strings.panels[id]}
          {id === 'train' && live ? <i className={live === 'running' ? 'live-dot' : 'live-dot still'} title={strings.train.status[live]} /> : <kbd>{index + 1}</kbd>}
        </button>
      ))}
    </nav>
  );
}
