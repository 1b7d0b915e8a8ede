// The keyboard shortcuts, as a list that opens.
import { CircleHelp } from 'lucide-react';
import { Popover } from 'radix-ui';
import { useStore } from 'zustand';
import { Icon } from '../controls/Icon';
import { strings } from '../strings';
import { overlayChange, overlays } from './overlays';
import { platformKeys } from './platform';

export function KeysPanel() {
  const open = useStore(overlays, (state) => state.open === 'keys');
  return (
    <Popover.Root open={open} onOpenChange={overlayChange('keys')}>
      <Popover.Trigger className="iconbtn" aria-label={strings.shell.keys} title={strings.shell.keys}><Icon of={CircleHelp} /></Popover.Trigger>
      <Popover.Portal>
        <Popover.Content className="pop keys-panel" align="end" sideOffset={7} collisionPadding={12} aria-label={strings.shell.keysTitle}>
          <h3>{strings.shell.keysTitle}</h3>
          <dl className="kv">
            {strings.shell.shortcuts.map(([what, keys]) => (
              <div key={what}><dt>{what}</dt><dd><kbd className="kcap">{platformKeys(keys)}</kbd></dd></div>
            ))}
          </dl>
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
