// What a device is called: browsers fill these three fields very differently, and some leave all empty.
import type { DeviceCard } from '../../store/contract';
import { strings } from '../strings';

export function deviceName({ vendor, architecture, description }: DeviceCard): string {
  return [vendor, architecture].filter(Boolean).join(' ') || description || strings.device.unnamed;
}
