// The device as the engine found it: what it allows, what is held there now, which kernels were chosen and why, and what it can do.
import { Cpu, TriangleAlert } from 'lucide-react';
import { Popover } from 'radix-ui';
import { useEffect, useState } from 'react';
import { useStore } from 'zustand';
import type { DeviceCard, DeviceState, Failure, SelfTest, StepTimes } from '../../store/contract';
import { activeRun } from '../../store/slices/runs';
import { useApp, useStudio } from '../context';
import { CopyButton } from '../controls/CopyLine';
import { FailureBanner } from '../controls/FailureBanner';
import { Icon } from '../controls/Icon';
import { bytes, count, percent, rate, seconds, tick } from '../format';
import { strings } from '../strings';
import { deviceName } from './device-name';
import { overlayChange, overlays } from './overlays';

const words = strings.device;
const SIZES = [['maxBufferSize', words.buffer], ['maxStorageBufferBindingSize', words.binding], ['maxComputeWorkgroupStorageSize', words.workgroup]] as const;
/** Between two looks at the engine's account of its memory. */
const LOOK_MS = 1000;

export function DevicePanel() {
  const device = useStudio((state) => state.engine.device);
  const open = useStore(overlays, (state) => state.open === 'device');
  if (!device) return null;
  return (
    <Popover.Root open={open} onOpenChange={overlayChange('device')}>
      <Popover.Trigger className="chipbtn" aria-label={words.open} data-testid="device-button">
        <Icon of={Cpu} />
        <span className="ell chip-name">{deviceName(device)}</span>
        {device.software && <span className="tag warn">{strings.engine.software}</span>}
      </Popover.Trigger>
      <Popover.Portal>
        <Popover.Content className="pop device-panel" align="end" sideOffset={7} collisionPadding={12} aria-label={words.title}><Inside device={device} /></Popover.Content>
      </Popover.Portal>
    </Popover.Root>
  );
}

function Inside({ device }: { device: DeviceCard }) {
  const state = useDeviceState();
  const [tested, setTested] = useState<SelfTest | null>(null);
  const [timed, setTimed] = useState<StepTimes | null>(null);
  return (
    <>
      <h3>{deviceName(device)}</h3>
      {device.description && device.description !== deviceName(device) && <p className="dim">{device.description}</p>}
      {device.software && <p className="warn">{words.software}</p>}
      <dl className="kv">
        {SIZES.map(([key, label]) => device.limits[key] !== undefined && <div key={key}><dt>{label}</dt><dd>{bytes(device.limits[key])}</dd></div>)}
        {device.limits.maxComputeInvocationsPerWorkgroup !== undefined && <div><dt>{words.invocations}</dt><dd>{count(device.limits.maxComputeInvocationsPerWorkgroup)}</dd></div>}
        <div><dt>{words.features}</dt><dd className="wraps">{device.features.length > 0 ? device.features.join(', ') : strings.common.none}</dd></div>
      </dl>
      <h4>{words.memory}</h4>
      <dl className="kv" data-testid="device-memory">
        <div><dt>{words.memoryNow}</dt><dd>{state ? bytes(state.bytes) : ''}</dd></div>
        <div><dt>{words.memoryPeak}</dt><dd>{state ? bytes(state.peakBytes) : ''}</dd></div>
        <div><dt>{words.pipelines}</dt><dd>{state ? count(state.pipelines) : ''}</dd></div>
      </dl>
      <Trials result={tested} off={state?.off ?? []} onDone={setTested} />
      <Bench times={timed} onDone={setTimed} />
      <h4>{words.kernels} <span className="hint">{words.kernelsHint}</span></h4>
      {state && <Kernels state={state} />}
      <div className="row"><CopyButton label={words.copyText} text={report(device, state, tested, timed)} /></div>
    </>
  );
}

function useDeviceState(): DeviceState | null {
  const { device } = useApp();
  const [state, setState] = useState<DeviceState | null>(null);
  useEffect(() => {
    const look = () => void device.state().then(setState, () => {});
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, [device]);
  return state;
}

/** Work that is asked for with a button: its busy time and its failure. */
function useAsk<T>(work: () => Promise<T>, onDone: (result: T) => void): { busy: boolean; failure: Failure | null; start: () => void } {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const start = () => {
    setBusy(true);
    setFailure(null);
    work().then(onDone, (error: unknown) => setFailure(error as Failure)).finally(() => setBusy(false));
  };
  return { busy, failure, start };
}

function Trials({ result, off, onDone }: { result: SelfTest | null; off: DeviceState['off']; onDone: (result: SelfTest) => void }) {
  const { device } = useApp();
  const { busy, failure, start } = useAsk(device.selfTest, onDone);
  const bad = result?.products.filter((row) => !row.passed) ?? [];
  const fast = result?.gates.filter((row) => row.outcome !== 'plain') ?? [];
  // What is off comes first.
  const order = { failed: 0, passed: 1, plain: 2 };
  return (
    <>
      <div className="row between"><h4>{words.selfTest} <span className="hint">{words.selfTestHint}</span></h4><button type="button" className="btn" data-testid="self-test" disabled={busy} onClick={start}>{busy ? words.benchBusy : words.runSelfTest}</button></div>
      {failure && <FailureBanner failure={failure} />}
      {result && <p data-testid="self-test-result"><span className={bad.length > 0 ? 'danger' : ''}>{words.selfTestPassed(result.products.length - bad.length, result.products.length)}</span> {fast.length > 0 && words.gates(fast.filter((row) => row.outcome === 'passed').length, fast.length)}</p>}
      {bad.map((row) => <p key={row.kernel} className="danger num breaks">{row.kernel} {row.shape}: {words.errorShare(percent(row.error))}</p>)}
      {result && result.gates.length > 0 && (
        <div className="scroll kernels" data-testid="gates">
          <table className="tbl">
            <tbody>
              {[...result.gates].sort((a, b) => order[a.outcome] - order[b.outcome] || a.kernel.localeCompare(b.kernel)).map(({ kernel, outcome, reason }) => (
                <tr key={kernel}><td className="mono">{kernel}</td><td className={outcome === 'failed' ? 'warn' : 'hint'}>{outcome === 'failed' && <Icon of={TriangleAlert} size={12} />} {words.gateOutcomes[outcome]}{reason ? `: ${reason}` : ''}</td></tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {!result && off.length > 0 && (
        <div data-testid="switched-off">
          <p className="warn"><Icon of={TriangleAlert} size={12} /> {words.off} <span className="hint">{words.offHint}</span></p>
          {off.map(({ kernel, reason }) => <p key={kernel} className="hint breaks"><span className="mono">{kernel}</span>: {reason}</p>)}
        </div>
      )}
    </>
  );
}

function Bench({ times, onDone }: { times: StepTimes | null; onDone: (times: StepTimes) => void }) {
  const { device, store } = useApp();
  const { busy, failure, start } = useAsk(() => device.timeStep(store.getState().project.draft), onDone);
  const ready = useStudio((state) => state.project.model.status === 'ready');
  const trains = useStudio((state) => { const run = activeRun(state.runs); return run !== null && run.status !== 'paused'; });
  const total = times?.kernels.reduce((sum, kernel) => sum + kernel.ms, 0) ?? 0;
  return (
    <>
      <div className="row between"><h4>{words.bench} <span className="hint">{words.benchHint}</span></h4><button type="button" className="btn" data-testid="bench" disabled={busy || !ready || trains} onClick={start}>{busy ? words.benchBusy : words.runBench}</button></div>
      {trains ? <p className="hint">{words.benchWait}</p> : !times && <p className="hint">{words.benchNone}</p>}
      {failure && <FailureBanner failure={failure} />}
      {times && (
        <>
          <p data-testid="bench-result">{words.step(seconds(times.ms / 1000), seconds(times.msLeast / 1000), times.runs)}, <span className="num">{rate(times.tokensPerSecond)}</span> {strings.train.tokensPerSecond}, <span className="num">{tick(times.gflops)}</span> GFLOP/s, {strings.build.perStep('', times.dispatches).replace(/^ and /, '')}</p>
          <p className="hint" data-testid="bench-limits">{words.measuredLimits(tick(times.limits.gbps), tick(times.limits.gflops))} {words.timed[times.timed]}</p>
          <div className="scroll kernels">
            <table className="tbl">
              <thead><tr><th>{words.kernel}</th><th className="r">×</th><th className="r">ms</th><th className="r">GFLOP/s</th><th className="r" title={words.rooflineHelp}>{words.roofline}</th></tr></thead>
              <tbody>
                {times.kernels.map(({ kernel, count: n, ms, gflops, roofline }) => (
                  <tr key={kernel}>
                    <td>{kernel}</td><td className="r dim">{n}</td>
                    <td className="r share" style={{ '--share': ms / total } as React.CSSProperties}>{ms.toFixed(2)}</td><td className="r">{gflops > 0 ? tick(gflops) : ''}</td>
                    <td className="r">{roofline && <>{percent(roofline.share)} <span className="hint">{words.bounds[roofline.bound]}</span></>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
    </>
  );
}

function Kernels({ state }: { state: DeviceState }) {
  if (state.kernels.length === 0) return <p className="hint">{words.kernelsNone}</p>;
  // Where there was a choice first; what had no rival says little.
  const order = { measured: 0, kept: 1, only: 2 };
  const rows = [...state.kernels].sort((a, b) => order[a.reason] - order[b.reason] || a.family.localeCompare(b.family));
  return (
    <div className="scroll kernels">
      <table className="tbl">
        <tbody>
          {rows.map(({ family, sizes, kernel, reason, times }) => (
            <tr key={`${family} ${sizes}`} title={times.length > 0 ? words.candidates(times.map((time) => `${time.kernel} ${time.ms.toFixed(3)} ms`).join('; ')) : sizes}>
              <td>{family} <span className="hint num">{sizes}</span></td><td className="mono dim">{kernel.replace(`${family} `, '')}</td><td className="hint">{words.reasons[reason]}{times.length > 1 ? `, ${times.length}` : ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function report(device: DeviceCard, state: DeviceState | null, tested: SelfTest | null, timed: StepTimes | null): string {
  return [
    deviceName(device), device.description, navigator.userAgent, `features: ${device.features.join(', ')}`, ...Object.entries(device.limits).map(([name, value]) => `${name}: ${value}`),
    ...(state ? [`held: ${state.bytes} bytes, peak ${state.peakBytes}`, ...state.kernels.map((choice) => `${choice.family} ${choice.sizes}: ${choice.kernel} (${choice.reason})`)] : []),
    ...(state?.off ?? []).map(({ kernel, reason }) => `off ${kernel}: ${reason}`),
    ...(tested?.products ?? []).map((row) => `${row.passed ? 'passed' : 'FAILED'} ${row.kernel} ${row.shape}: ${percent(row.error)} of its bound`),
    ...(tested?.gates ?? []).map((row) => `${row.outcome} ${row.kernel}`),
    ...(timed ? [`step: ${timed.ms} ms, ${timed.tokensPerSecond} tokens/s`, `at most: ${timed.limits.gbps} GB/s, ${timed.limits.gflops} GFLOP/s`, ...timed.kernels.map(({ kernel, count: n, ms, roofline }) => `${kernel} ×${n}: ${ms} ms${roofline ? `, ${percent(roofline.share)} of ${roofline.bound}` : ''}`)] : []),
  ].filter(Boolean).join('\n');
}
