// What each row of a table is for: which column is the text, the prompt, the talk, the label. Columns are found by their usual
// names, or named by the user.
import { ColumnsError, DataError } from '../util/errors';
import { type Cells, isObject, kindOf, list, ROW_FORMS, type RunningText, type Table, usualColumn } from './table';

export const ROLES = ['text', 'second', 'label', 'prompt', 'context', 'completion', 'system', 'messages', 'image', 'caption', 'score', 'tokens', 'tags'] as const;
export type Role = (typeof ROLES)[number];
/** Pictures have readers of their own, in pictures/; so have pairs with scores and words with tags, in annotated.ts. */
type TextRole = Exclude<Role, 'image' | 'caption' | 'score' | 'tokens' | 'tags'>;
/** The column that plays each role; {} leaves it to the usual names. */
export type Columns = Partial<Record<Role, string>>;
export type DataForm = 'text' | 'pair' | 'chat' | 'label' | 'pair-label';

export interface ChatMessage { role: 'system' | 'user' | 'assistant'; content: string }
export interface TextRow { kind: 'text'; place: string; text: string }
export interface PairRow { kind: 'pair'; place: string; prompt: string; completion: string; system?: string }
export interface ChatRow { kind: 'chat'; place: string; messages: ChatMessage[] }
/** A text, or a pair of texts, and the class it belongs to. */
export interface LabelRow { kind: 'label'; place: string; text: string; second?: string; label: string }
export type DataRow = TextRow | PairRow | ChatRow | LabelRow;

/** 'text': a single TextRow that is the whole file. 'rows': all of one kind. */
export type ParsedData = ({ format: 'text'; rows: [TextRow] } | { format: 'rows'; rows: DataRow[] }) & {
  form: DataForm;
  /** All columns of the file, and those that are used. */
  columns: readonly string[];
  used: Columns;
  /** Rows without content, which nothing can be learned from. */
  leftOut: number;
  unreadable: number;
};

const FORM_WORDS: Readonly<Record<DataForm, string>> = {
  text: 'a text', pair: 'prompts with completions', chat: 'conversations', label: 'texts with labels', 'pair-label': 'pairs of texts with labels',
};
/** Lower-case names under which data sets keep each role, most usual first. */
const USUAL: Readonly<Record<TextRole, readonly string[]>> = {
  text: ['text', 'content', 'sentence', 'sentence1', 'premise', 'question1', 'review', 'story', 'document'],
  second: ['second', 'sentence2', 'hypothesis', 'question2', 'text_pair', 'text2'],
  label: ['label', 'labels', 'class', 'category', 'target', 'sentiment'],
  prompt: ['prompt', 'instruction', 'question', 'input', 'query', 'source'],
  context: ['context', 'input'],
  completion: ['completion', 'response', 'output', 'answer', 'chosen', 'target', 'summary'],
  system: ['system', 'system_prompt'],
  messages: ['messages', 'conversations', 'conversation', 'chat'],
};
const CHOOSE = 'Say which column is what.';

export function parseRows(name: string, source: Table | RunningText, wanted: Columns = {}): ParsedData {
  if (source.kind === 'text') return { format: 'text', form: 'text', rows: [{ kind: 'text', place: 'line 1', text: source.text }], columns: [], used: {}, leftOut: 0, unreadable: source.unreadable };
  const used = Object.keys(wanted).length > 0 ? checked(name, source.columns, wanted) : guessed(name, source);
  const form = formOf(used);
  const { rows, leftOut } = leavingBlanks(name, source, (cells, place, where) => rowOf(form, used, cells, place, where));
  return { format: 'rows', form, rows, columns: source.columns, used, leftOut, unreadable: source.unreadable };
}

/** A row for each of the table's, but those with nothing in a cell; a table of such alone is refused by its first. */
export function leavingBlanks<R>(name: string, { rows: all, place: placeOf }: Table, rowOf: (cells: Cells, place: string, where: string) => R): { rows: R[]; leftOut: number } {
  const rows: R[] = [];
  let blank: DataError | null = null;
  let leftOut = 0;
  all.forEach((cells, index) => {
    const place = placeOf(index);
    try {
      rows.push(rowOf(cells, place, `${name}: ${place}`));
    } catch (error) {
      // A table often has cells with nothing in them; a cell with something else in it is a mistake to be seen.
      if (!(error instanceof BlankRow)) throw error;
      blank ??= error;
      leftOut++;
    }
  });
  if (rows.length === 0) throw blank ?? new DataError(`${name}: there is nothing to learn: no row`, 'Choose a file with rows in it.');
  return { rows, leftOut };
}

/** A DataError of a row that may be left out. */
export class BlankRow extends DataError {
  constructor(message: string, hint: string) {
    super(message, hint);
    this.name = 'DataError';
  }
}

// ---- which column is what ----

function formOf(used: Columns): DataForm {
  if (used.messages) return 'chat';
  if (used.completion) return 'pair';
  if (used.label) return used.second ? 'pair-label' : 'label';
  return 'text';
}

/** Refuses a choice of a column that is not there. */
export function checkNamed(name: string, columns: readonly string[], wanted: Columns): void {
  for (const [role, column] of Object.entries(wanted)) {
    if (!columns.includes(column)) throw new ColumnsError(`${name}: there is no column ${JSON.stringify(column)} for the ${role}: the columns are ${list(columns)}`, CHOOSE, columns);
  }
}

function checked(name: string, columns: readonly string[], wanted: Columns): Columns {
  checkNamed(name, columns, wanted);
  const roles = ROLES.filter((role) => wanted[role] !== undefined);
  const forms: Readonly<Record<string, readonly Role[]>> = { messages: ['messages'], completion: ['prompt', 'context', 'completion', 'system'], label: ['text', 'second', 'label'], text: ['text'] };
  const lead = (['messages', 'completion', 'label', 'text'] as const).find((role) => wanted[role] !== undefined);
  if (!lead) throw new ColumnsError(`${name}: nothing to learn among the columns chosen: ${roles.join(', ')}`, 'Choose a column of texts, of completions, of labels or of messages.', columns);
  const stray = roles.find((role) => !forms[lead]?.includes(role));
  if (stray) throw new ColumnsError(`${name}: ${stray} does not go together with ${lead}`, 'Choose text alone; prompt and completion; messages alone; or text and label.', columns);
  if (lead === 'completion' && wanted.prompt === undefined) throw new ColumnsError(`${name}: "completion" without "prompt"`, 'Choose the column of the prompts too.', columns);
  if (lead === 'label' && wanted.text === undefined) throw new ColumnsError(`${name}: "label" without "text"`, 'Choose the column of the texts too.', columns);
  return wanted;
}

function guessed(name: string, { columns, rows, place }: Table): Columns {
  const find = (role: TextRole, taken: readonly (string | undefined)[] = []) => usualColumn(columns, USUAL[role], taken);
  const messages = find('messages');
  const prompt = find('prompt'), completion = find('completion', [prompt]);
  const text = find('text'), second = find('second', [text]), label = find('label', [text, second]);
  const pair = prompt !== undefined && completion !== undefined;
  if (text !== undefined && pair && label === undefined && ['text', 'prompt', 'completion'].every((column) => columns.includes(column))) {
    throw mixed(name, columns, rows, place);
  }
  if (messages !== undefined) return { messages };
  if (text !== undefined && label !== undefined) return second === undefined ? { text, label } : { text, second, label };
  if (pair) {
    const system = find('system'), context = find('context', [prompt, completion]);
    return { prompt, completion, ...(system === undefined ? {} : { system }), ...(context === undefined ? {} : { context }) };
  }
  if (text !== undefined) return { text };
  // A table of one column of strings can only be read one way.
  if (columns.length === 1 && rows.every((row) => typeof row[columns[0] as string] === 'string') && prompt === undefined && completion === undefined) return { text: columns[0] as string };
  const missing = prompt !== undefined ? '"completion" is missing' : completion !== undefined ? '"prompt" is missing' : 'neither "text" nor "prompt" and "completion"';
  const at = rows.length === 1 ? `${name}: ${place(0)}` : name;
  throw new ColumnsError(`${at}: ${missing}: ${columns.length === 0 ? 'the row is {}' : `the columns are ${list(columns)}`}`, `${CHOOSE} Usual names need no choice, as in ${ROW_FORMS}.`, columns);
}

/** A file with "text" beside "prompt" and "completion": in one row, or in rows of two kinds. */
function mixed(name: string, columns: readonly string[], rows: readonly Cells[], place: (index: number) => string): DataError {
  const isText = (row: Cells) => Object.hasOwn(row, 'text');
  const isPair = (row: Cells) => Object.hasOwn(row, 'completion') || Object.hasOwn(row, 'prompt');
  const both = rows.findIndex((row) => isText(row) && isPair(row));
  if (both >= 0) return new ColumnsError(`${name}: ${place(both)}: two kinds in one row: "text" beside "prompt" and "completion"`, `Keep one kind. ${CHOOSE}`, columns);
  const [text, pair] = [rows.findIndex(isText), rows.findIndex(isPair)];
  return new DataError(`${name}: two kinds of rows in one file: ${place(text)} has "text", ${place(pair)} has "prompt" and "completion"`, 'Keep one kind of row, and put the other into a file of its own.');
}

// ---- the rows ----

function rowOf(form: DataForm, used: Columns, cells: Cells, place: string, where: string): DataRow {
  const read = (role: Role, blank: Blank = 'refused') => textCell(cells, used[role] as string, where, blank);
  switch (form) {
    case 'text': return { kind: 'text', place, text: read('text') };
    case 'pair': {
      // Many instruction sets keep what the instruction is about in a column of its own, empty where there is nothing.
      const context = used.context === undefined ? '' : read('context', 'optional');
      const prompt = read('prompt', 'fine');
      const row: PairRow = { kind: 'pair', place, prompt: context.trim() === '' ? prompt : `${prompt}\n\n${context}`, completion: read('completion') };
      const system = used.system === undefined ? '' : read('system', 'optional');
      return system.trim() === '' ? row : { ...row, system };
    }
    case 'chat': return { kind: 'chat', place, messages: readMessages(cells[used.messages as string], `${where}: ${JSON.stringify(used.messages)}`) };
    case 'label': return { kind: 'label', place, text: read('text'), label: labelCell(cells, used.label as string, where) };
    case 'pair-label': return { kind: 'label', place, text: read('text'), second: read('second'), label: labelCell(cells, used.label as string, where) };
  }
}

/** Whether a cell may be empty, and whether it may not be there at all. */
type Blank = 'refused' | 'fine' | 'optional';

export function textCell(cells: Cells, column: string, where: string, blank: Blank): string {
  const value = cells[column];
  const at = `${where}: ${JSON.stringify(column)}`;
  if (value === undefined && blank === 'optional') return '';
  if (value === undefined) throw new DataError(`${at} is missing: the columns are ${list(Object.keys(cells))}`, 'Give every row the same columns, or leave the row out.');
  if (value === null && blank !== 'refused') return '';
  if (value === null) throw new BlankRow(`${at} must be a string: got null`, 'Fill it in, or remove the row.');
  if (typeof value !== 'string') throw new ColumnsError(`${at} must be a string: got ${kindOf(value)}`, 'Put the value in double quotes, or choose another column.', Object.keys(cells));
  if (value.trim() === '' && blank === 'refused') throw new BlankRow(`${at} is empty: there is nothing to learn in this row`, 'Fill it in, or remove the row.');
  return value;
}

function labelCell(cells: Cells, column: string, where: string): string {
  const value = cells[column];
  const at = `${where}: ${JSON.stringify(column)}`;
  if (value === undefined) throw new DataError(`${at} is missing: the columns are ${list(Object.keys(cells))}`, 'Give every row the same columns, or leave the row out.');
  const label = typeof value === 'string' ? value.trim() : ['number', 'bigint', 'boolean'].includes(typeof value) ? String(value) : null;
  if (label === '' || value === null) throw new BlankRow(`${at} is empty: the row has no label`, 'Fill it in, or remove the row.');
  if (label === null) throw new DataError(`${at} must be one label: got ${kindOf(value)}`, 'Choose a column with a word or a number in each row.');
  return label;
}

const SPEAKERS: Readonly<Record<string, ChatMessage['role']>> = { system: 'system', user: 'user', human: 'user', assistant: 'assistant', gpt: 'assistant', model: 'assistant', bot: 'assistant' };

/** `[{"role", "content"}]`, or `[{"from", "value"}]` as ShareGPT has it; in a csv cell as JSON. */
function readMessages(given: unknown, at: string): ChatMessage[] {
  const form = 'Write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].';
  let value = given;
  if (typeof value === 'string' && value.trim() !== '') {
    try {
      value = JSON.parse(value);
    } catch {
      throw new DataError(`${at} must be a list of messages: got text that is no JSON: ${JSON.stringify((value as string).slice(0, 40))}`, form);
    }
  }
  if (value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) throw new BlankRow(`${at} is empty: the conversation has no message`, 'Fill it in, or remove the row.');
  if (!Array.isArray(value)) throw new DataError(`${at} must be a list of messages: got ${kindOf(value)}`, form);
  const messages = value.map((message, i): ChatMessage => {
    const turn = `${at}: message ${i + 1}`;
    if (!isObject(message)) throw new DataError(`${turn} must be an object: got ${kindOf(message)}`, form);
    const speaker = message.role ?? message.from;
    const role = typeof speaker === 'string' ? SPEAKERS[speaker.toLowerCase()] : undefined;
    if (!role) throw new DataError(`${turn}: the role must be system, user or assistant: got ${typeof speaker === 'string' ? JSON.stringify(speaker) : kindOf(speaker)}`, 'Leave out rows with tool calls, or rewrite the role.');
    return { role, content: contentOf(message.content ?? message.value, turn) };
  });
  if (!messages.some(({ role, content }) => role === 'assistant' && content.trim() !== '')) throw new BlankRow(`${at}: no assistant turn: there is nothing to learn in this row`, 'Add an answer, or remove the row.');
  return messages;
}

function contentOf(content: unknown, turn: string): string {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) {
    return content.map((part) => {
      if (isObject(part) && part.type === 'text' && typeof part.text === 'string') return part.text;
      throw new DataError(`${turn}: a part of the content is not text: got ${isObject(part) ? JSON.stringify(part.type ?? null) : kindOf(part)}`, 'Only text can be learned here; leave the row out.');
    }).join('');
  }
  throw new DataError(`${turn}: the content must be a string: got ${kindOf(content)}`, 'Put the value in double quotes.');
}

export const describeForm = ({ form }: Pick<ParsedData, 'form'>, format: 'text' | 'rows'): string => (format === 'rows' && form === 'text' ? 'rows with "text"' : FORM_WORDS[form]);
/** Everything a row says, as one string: equal strings, equal rows. */
export function contentKey(row: DataRow): string {
  const { place: _, ...content } = row;
  return JSON.stringify(content);
}
/** The words of a row, for comparing rows with one another. */
export function plainText(row: DataRow): string {
  switch (row.kind) {
    case 'text': return row.text;
    case 'pair': return `${row.prompt}\n${row.completion}`;
    case 'chat': return row.messages.map(({ content }) => content).join('\n');
    case 'label': return row.second === undefined ? row.text : `${row.text}\n${row.second}`;
  }
}
