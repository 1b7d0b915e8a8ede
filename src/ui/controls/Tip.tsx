// What a control means, on hover or focus.
import { Tooltip } from 'radix-ui';
import type { ReactNode } from 'react';

export function Tip({ children, content, side = 'top' }: { children: ReactNode; content: ReactNode; side?: 'top' | 'left' | 'right' | 'bottom' }) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger asChild>{children}</Tooltip.Trigger>
      <Tooltip.Portal>
        <Tooltip.Content className="tip" side={side} sideOffset={8} collisionPadding={8}>{content}</Tooltip.Content>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
