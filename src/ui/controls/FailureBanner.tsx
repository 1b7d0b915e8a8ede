// An engine's error as it is: what happened and where, then what to do.
import type { ReactNode } from 'react';
import type { Failure } from '../../store/contract';
import { Banner } from './Banner';

export function FailureBanner({ failure, title, actions }: { failure: Failure; title?: string; actions?: ReactNode }) {
  return (
    <Banner tone="danger" title={title ?? failure.message} actions={actions} testid="error-message">
      {title && <p className="breaks">{failure.message}</p>}
      {failure.hint && <p className="breaks">{failure.hint}</p>}
    </Banner>
  );
}
