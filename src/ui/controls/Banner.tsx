// A message with its remedy: information, a warning, or what stops you. Never colour alone: an icon and words.
import { CircleAlert, Info, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { Icon } from './Icon';

export type Tone = 'info' | 'warn' | 'danger';
const SHAPES = { info: Info, warn: TriangleAlert, danger: CircleAlert };

export function Banner({ tone, title, children, actions, testid }: { tone: Tone; title: ReactNode; children?: ReactNode; actions?: ReactNode; testid?: string }) {
  return (
    <div className={`banner ${tone}`} role={tone === 'danger' ? 'alert' : 'status'} data-testid={testid}>
      <span className={`banner-icon ${tone}`}><Icon of={SHAPES[tone]} /></span>
      <div className="grow">
        <b>{title}</b>
        {children && <div className="banner-text">{children}</div>}
        {actions && <div className="row banner-actions">{actions}</div>}
      </div>
    </div>
  );
}
