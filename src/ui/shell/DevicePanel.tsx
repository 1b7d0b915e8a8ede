// The device as the engine found it, and the kernels it chose there.
import { Cpu } from 'lucide-react';
import { Popover } from 'radix-ui';
import { useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { bytes, count, tick } from '../format';
import { strings } from '../strings';
import { deviceName } from './device-name';

const words = strings.device;
const SIZES = [['maxBufferSize', words.buffer], ['maxStorageBufferBindingSize', words.binding], ['maxComputeWorkgroupStorageSize', words.workgroup]] as const;

export function DevicePanel() {
  const device = useStudio((state) => state.engine.device);
  if (!device) return null;
  return (
    <Popover.Root>
      <Popover.Trigger className="chipbtn" aria-label={words.open}>
        <Icon of={Cpu} />
        <span className="ell chip-name">{deviceName(device)}</span>
        {device.software && <span className="tag warn">{strings.engine.software}</span>}
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content className="pop device-panel" align="end" sideOffset={7} collisionPadding={12} aria-label={words.title}>
          <h3>{deviceName(device)}</h3>
          {device.description && device.description !== deviceName(device) && <p className="dim">{device.description}</p>}
          {device.software && <p className="warn">{words.software}</p>}
          <dl className="kv">
            {SIZES.map(([key, label]) => device.limits[key] !== undefined && <div key={key}><dt>{label}</dt><dd>{bytes(device.limits[key])}</dd></div>)}
            {device.limits.maxComputeInvocationsPerWorkgroup !== undefined && (
              <div><dt>{words.invocations}</dt><dd>{count(device.limits.maxComputeInvocationsPerWorkgroup)}</dd></div>
            )}
            <div><dt>{words.features}</dt><dd className="wraps">{device.features.length > 0 ? device.features.join(', ') : strings.common.none}</dd></div>
          </dl>
          <h4>{words.kernels}</h4>
          {device.kernels.length === 0 ? (
            <p className="hint">{words.kernelsNone}</p>
          ) : (
            <div className="scroll kernels">
              <table className="tbl">
                <tbody>
                  {device.kernels.map((kernel) => (
                    <tr key={kernel.work}>
                      <td>{kernel.work}</td>
                      <td className="mono dim">{kernel.variant}</td>
                      <td className="r">{kernel.gflops === undefined ? '' : tick(kernel.gflops)}</td>
                    </tr>
                  ))}
                </tbody>
                {device.kernels.some((kernel) => kernel.gflops !== undefined) && <caption className="hint">{words.measured}</caption>}
              </table>
            </div>
          )}
        </Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}
