// What a control means, on hover or focus.
import { Tooltip } from 'radix-ui';
import { type ReactNode, useState } from 'react';

export function Tip({ children, content, side = 'top', silent = false }: {
  children: ReactNode; content: ReactNode; side?: 'top' | 'left' | 'right' | 'bottom';
  /** Stays away, e.g. while a list is open: Escape must close the list first. */
  silent?: boolean;
}) {
  const [open, setOpen] = useState(false);
  return (
    <Tooltip.Root open={open && !silent} onOpenChange={setOpen}>
      <Tooltip.Trigger asChild>{children}</Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content className="tip" side={side} sideOffset={8} collisionPadding={8}>{content}</Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
