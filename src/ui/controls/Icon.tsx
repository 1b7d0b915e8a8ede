// Every icon at the size and stroke of the design: 16 px, 1.4.
import type { LucideIcon } from 'lucide-react';

export function Icon({ of: Shape, size = 16 }: { of: LucideIcon; size?: number }) {
  return <Shape className="ic" size={size} strokeWidth={1.6} aria-hidden="true" />;
}
