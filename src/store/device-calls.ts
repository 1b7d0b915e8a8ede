// Calls on the device that nothing in the store keeps: their answers live as long as the panel that asked.
import { type EngineClient, readFailure } from '../worker/client';
import type { DeviceState, RunConfig, SelfTest, StepTimes } from './contract';

export interface DeviceCalls {
  state(): Promise<DeviceState>;
  selfTest(): Promise<SelfTest>;
  /** Times steps of a setup on the loaded model. Rejects with a Failure. */
  timeStep(config: RunConfig): Promise<StepTimes>;
}

export function deviceCalls(client: Pick<EngineClient, 'deviceState' | 'selfTest' | 'timeStep'>): DeviceCalls {
  const failing = <T>(work: Promise<T>): Promise<T> => work.catch((error: unknown) => { throw readFailure(error); });
  return { state: () => failing(client.deviceState()), selfTest: () => failing(client.selfTest()), timeStep: (config) => failing(client.timeStep(config)) };
}
