// The types that the page draws, as the worker's protocol and the run configuration name them. The page imports them from
// here, so that only the store knows where they come from.
export type {
  AdapterCard, BuiltinData, BuiltinModel, Columns, Cut, CutTexts, DataCard, DataSource, DeviceCard, DeviceState, EngineEvent, ExploreCard, ExploreSource, ExploredModule, ExportDtype, ExportFile,
  ExportFormat, ExportRequest, ExportResult, Failure, Field, Fields, FieldValue,
  HeatmapData, Hello, HubCard, HubSettings, Measured, MethodCard, ModelCard, ModelSource, ModuleDetail, NamedFile, OverlapCard, Plan, RunConfig, RunId, RunStatus, SampleResult, SelfTest, SiteCard, SiteOverlap,
  Found, Judged, Looked, PictureChoice, StepTimes, TokenRow, ViewSpec, Voice, WriteRequest, Written,
} from '../worker/protocol';
export type { TrainingConfig } from '../training/config';
export type { EffectiveRank } from '../training/cut';
export { allocate, effectiveRank, energy, keepEnergy, keepLargest, keepRank, present } from '../training/cut';
/** Endings of the built-in data, by their format. */
export const DATA_ENDINGS = { text: 'txt', rows: 'jsonl', pictures: 'zip' } as const;
export { CONTRAST, MOST_SCALE } from '../util/contrast';
export { DEFAULT_TEMPLATE, defaultRun, defaultTraining } from '../training/config';
export type { Metric, Metrics, TaskName } from '../training/tasks';
export { METRICS, readsPictures, tasks, tasksFor } from '../training/tasks';
export type { Picture, RowInsight, Shown } from '../training/events';
