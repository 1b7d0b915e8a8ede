// The types that the page draws, as the worker's protocol and the run configuration name them. The page imports them from
// here, so that only the store knows where they come from.
export type {
  AdapterCard, BuiltinData, BuiltinModel, Columns, DataCard, DataSource, DeviceCard, EngineEvent, ExportFile, ExportResult, Failure, Field, Fields, FieldValue,
  HeatmapData, Hello, HubCard, HubSettings, MethodCard, ModelCard, ModelSource, NamedFile, Plan, RunConfig, RunId, RunStatus, SampleResult, SiteCard, TokenRow, ViewSpec, Voice, WriteRequest, Written,
} from '../worker/protocol';
export type { TrainingConfig } from '../training/config';
export { defaultRun, defaultTraining } from '../training/config';
