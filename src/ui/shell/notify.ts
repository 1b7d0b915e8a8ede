// Asking for notices of the system: only ever on a press of a button.
import { toast } from 'sonner';
import type { Edits } from '../../store/edits';
import { strings } from '../strings';

export async function setNotify(edit: Edits, on: boolean): Promise<void> {
  if (on && (typeof Notification === 'undefined' || (await Notification.requestPermission()) !== 'granted')) {
    toast.warning(strings.train.notifyDenied);
    return;
  }
  edit.layout({ notify: on });
}
