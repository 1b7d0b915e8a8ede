// What can be learned: one entry a task. Command line, page and training read this table; nothing else knows a task by name but the
// models, which say what they can do (`classes`), and the readers of data.

/** What a column of a table may be for; src/data/rows.ts finds them. */
export const ROLES = ['text', 'second', 'label', 'prompt', 'context', 'completion', 'system', 'messages', 'image', 'caption', 'score', 'tokens', 'tags'] as const;
export type Role = (typeof ROLES)[number];

/** What is measured on held-out data beside the loss. */
export const METRICS = {
  perplexity: { title: 'perplexity', better: 'less' },
  accuracy: { title: 'accuracy', better: 'more' },
  macro_f1: { title: 'macro F1', better: 'more' },
  mcc: { title: 'MCC', better: 'more' },
  text_recall_1: { title: 'text recall@1', better: 'more' },
  text_recall_5: { title: 'text recall@5', better: 'more' },
  picture_recall_1: { title: 'picture recall@1', better: 'more' },
  picture_recall_5: { title: 'picture recall@5', better: 'more' },
  recall_1: { title: 'recall@1', better: 'more' },
  recall_5: { title: 'recall@5', better: 'more' },
  entity_f1: { title: 'entity F1', better: 'more' },
  spearman: { title: 'Spearman', better: 'more' },
} as const;
export type Metric = keyof typeof METRICS;
export type Metrics = Readonly<Partial<Record<Metric, number>>>;

export interface TaskCard {
  title: string;
  /** How the model is called; tasks of one kind differ in what they read. */
  kind: 'causal-lm' | 'masked-lm' | 'sequence-classification' | 'token-classification' | 'sentence-embedding' | 'image-classification' | 'image-text' | 'image-caption';
  /** Kinds of model that can learn it. */
  models: readonly ('decoder' | 'encoder' | 'vit' | 'clip')[];
  /** The columns it wants, each list one way to give them; a running text is a text. */
  columns: readonly (readonly Role[])[];
  /** The first is the one to judge by. */
  metrics: readonly Metric[];
  /** What the loss is a mean over, and what a rate counts. */
  unit: 'token' | 'row' | 'picture';
  /** The model writes on from a prompt. */
  writes: boolean;
  /** `task_type` of adapter_config.json; PEFT has none for masked language models and pictures. */
  peft: 'CAUSAL_LM' | 'SEQ_CLS' | 'TOKEN_CLS' | 'FEATURE_EXTRACTION' | null;
}

const TEXTS = [['prompt', 'completion'], ['messages'], ['text', 'label']] as const;

export const tasks = {
  'causal-lm': { title: 'Go on with a text', kind: 'causal-lm', models: ['decoder'], columns: [['text'], ...TEXTS], metrics: ['perplexity'], unit: 'token', writes: true, peft: 'CAUSAL_LM' },
  instruction: { title: 'Follow instructions', kind: 'causal-lm', models: ['decoder'], columns: TEXTS, metrics: ['perplexity'], unit: 'token', writes: true, peft: 'CAUSAL_LM' },
  'masked-lm': { title: 'Fill in hidden words', kind: 'masked-lm', models: ['encoder'], columns: [['text'], ...TEXTS], metrics: ['perplexity'], unit: 'token', writes: false, peft: null },
  'sequence-classification': { title: 'Sort texts into classes', kind: 'sequence-classification', models: ['encoder'], columns: [['text', 'label'], ['text', 'second', 'label']], metrics: ['accuracy', 'macro_f1', 'mcc'], unit: 'row', writes: false, peft: 'SEQ_CLS' },
  'token-classification': { title: 'Tag the words of texts', kind: 'token-classification', models: ['encoder'], columns: [['tokens', 'tags']], metrics: ['accuracy', 'macro_f1', 'entity_f1'], unit: 'token', writes: false, peft: 'TOKEN_CLS' },
  'sentence-embedding': { title: 'Match texts that belong together', kind: 'sentence-embedding', models: ['encoder'], columns: [['text', 'second']], metrics: ['recall_1', 'recall_5', 'spearman'], unit: 'row', writes: false, peft: 'FEATURE_EXTRACTION' },
  'image-classification': { title: 'Sort pictures into classes', kind: 'image-classification', models: ['vit'], columns: [['image', 'label']], metrics: ['accuracy', 'macro_f1', 'mcc'], unit: 'picture', writes: false, peft: null },
  'image-text': { title: 'Sort pictures by texts for the classes', kind: 'image-text', models: ['clip'], columns: [['image', 'label']], metrics: ['accuracy', 'macro_f1', 'mcc'], unit: 'picture', writes: false, peft: null },
  'image-caption': { title: 'Match pictures with captions', kind: 'image-caption', models: ['clip'], columns: [['image', 'caption']], metrics: ['text_recall_1', 'text_recall_5', 'picture_recall_1', 'picture_recall_5'], unit: 'picture', writes: false, peft: null },
} as const satisfies Readonly<Record<string, TaskCard>>;

export type TaskName = keyof typeof tasks;
export const TASK_NAMES = Object.keys(tasks) as [TaskName, ...TaskName[]];

/** The entry of a kind that has its name: where several tasks are of one kind, what they share. */
export const taskCard = (kind: TaskCard['kind']): TaskCard => tasks[kind];

/** What a model of this kind can learn; the first is what is taken where nobody says. */
export const tasksFor = (model: TaskCard['models'][number]): TaskName[] => TASK_NAMES.filter((name) => (tasks[name] as TaskCard).models.includes(model));

/** Whether models of this kind read pictures. */
export const readsPictures = (model: string): boolean => model === 'vit' || model === 'clip';

/** Whether the columns in use are enough; a running text counts as a text. */
export const hasColumns = (name: TaskName, used: Readonly<Partial<Record<Role, string>>>): boolean =>
  (tasks[name] as TaskCard).columns.some((roles) => roles.every((role) => used[role] !== undefined));

/** '"prompt" and "completion", or "messages"' */
export const columnsText = (name: TaskName): string => (tasks[name] as TaskCard).columns.map((roles) => roles.map((role) => JSON.stringify(role)).join(' and ')).join(', or ');
