// The keyboard shortcuts, as a list that opens.
import { CircleHelp } from 'lucide-react';
import { Popover } from 'radix-ui';
import { Icon } from '../controls/Icon';
import { strings } from '../strings';
import { platformKeys } from './platform';

export function KeysPanel({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Popover.Root open={open} onOpenChange={onOpenChange}>
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
