// A failure of something that was asked for by a button, as a notice.
import { toast } from 'sonner';
import type { Failure } from '../../store/contract';

export async function tell(work: Promise<Failure | null>): Promise<void> {
  const failure = await work;
  if (failure) toast.error(failure.message, { description: failure.hint });
}
