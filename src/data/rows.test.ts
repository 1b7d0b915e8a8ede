import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import Papa from 'papaparse';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/errors';
import { type Columns, parseRows } from './rows';
import { readTable } from './table';

const parseRowsOf = async (name: string, content: Uint8Array<ArrayBuffer>) => parseRows(name, await readTable({ name, content }));
const parseData = async (name: string, content: string, columns: Columns = {}) => parseRows(name, await readTable({ name, content }), columns);

const parquetOf = (columnData: Parameters<typeof parquetWriteBuffer>[0]['columnData'], rowGroupSize = 20) => new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize }));

/** Message and hint of the refusal. */
async function refusal(name: string, content: string, columns: Columns = {}): Promise<string> {
  const error = await parseData(name, content, columns).then(() => { throw new Error('was not refused'); }, (e: unknown) => e);
  expect(error).toBeInstanceOf(DataError);
  expect((error as DataError).name).toBe('DataError');
  expect((error as DataError).hint).toMatch(/^[A-Z].*[.\]}]$/);
  return `${(error as DataError).message}; ${(error as DataError).hint}`;
}

describe('what is read', () => {
  it.each(['a.txt', 'A.TXT', 'notes.md'])('%s is one text, with plain line ends and no byte-order mark', async (name) => {
    expect(await parseData(name, '\ufeffone\r\ntwo\rthree\n\n')).toMatchObject({ format: 'text', form: 'text', rows: [{ kind: 'text', place: 'line 1', text: 'one\ntwo\nthree\n\n' }] });
  });

  it('a .jsonl file has a row a line, and rows remember their line', async () => {
    const content = '\ufeff{"text": "one"}\r\n\r\n{"text":"two", "id": 7}\r\n\n\n';
    expect(await parseData('a.jsonl', content)).toMatchObject({ format: 'rows', columns: ['text', 'id'], used: { text: 'text' }, rows: [{ kind: 'text', place: 'line 1', text: 'one' }, { kind: 'text', place: 'line 3', text: 'two' }] });
    expect((await parseData('a.jsonl', '{"prompt":"","completion":"b\\nc"}')).rows).toEqual([{ kind: 'pair', place: 'line 1', prompt: '', completion: 'b\nc' }]);
  });

  it('any rows survive being written and read', async () => {
    const field = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text.trim() !== '' && !text.includes('\ufffd'));
    const pairs = fc.array(fc.record({ prompt: field, completion: field }), { minLength: 1, maxLength: 8 });
    await fc.assert(fc.asyncProperty(pairs, fc.constantFrom('\n', '\r\n'), async (rows, end) => {
      const lines = await parseData('r.jsonl', rows.map((row) => JSON.stringify(row) + end).join(''));
      expect(lines.rows).toEqual(rows.map((row, i) => ({ kind: 'pair', place: `line ${i + 1}`, ...row })));
      const whole = await parseData('r.json', JSON.stringify(rows, null, 2));
      expect(whole.rows).toEqual(rows.map((row, i) => ({ kind: 'pair', place: `row ${i + 1}`, ...row })));
      for (const [name, delimiter] of [['r.csv', ','], ['r.tsv', '\t']] as const) {
        const sheet = await parseData(name, Papa.unparse(rows, { delimiter, newline: end, quotes: true }));
        expect(sheet.rows).toEqual(whole.rows);
      }
    }));
  });

  it('parquet, over several row groups, with labels that are whole numbers and cells that are null', async () => {
    const texts = Array.from({ length: 50 }, (_, i) => (i === 7 ? null : `row ${i}`));
    const content = parquetOf([{ name: 'id', data: texts.map((_, i) => BigInt(i)) }, { name: 'text', data: texts }, { name: 'label', data: texts.map((_, i) => i % 3) }]);
    const parsed = parseRows('d.parquet', await readTable({ name: 'd.parquet', content }));
    expect(parsed).toMatchObject({ form: 'label', columns: ['id', 'text', 'label'], used: { text: 'text', label: 'label' }, leftOut: 1 });
    expect(parsed.rows).toEqual(texts.flatMap((text, i) => (text === null ? [] : [{ kind: 'label', place: `row ${i + 1}`, text, label: String(i % 3) }])));
  });

  it('columns by their usual names, whatever their case, or as chosen', async () => {
    const found = async (head: string) => (await parseData('d.csv', `${head}\n${head.split(',').map(() => 'x').join(',')}\n`)).used;
    expect(await found('Instruction,Output,id')).toEqual({ prompt: 'Instruction', completion: 'Output' });
    expect(await found('instruction,input,output')).toEqual({ prompt: 'instruction', context: 'input', completion: 'output' });
    expect(await found('question,answer')).toEqual({ prompt: 'question', completion: 'answer' });
    expect(await found('sentence1,sentence2,label')).toEqual({ text: 'sentence1', second: 'sentence2', label: 'label' });
    expect(await found('id,Review,Sentiment')).toEqual({ text: 'Review', label: 'Sentiment' });
    expect(await found('body')).toEqual({ text: 'body' });
    const filled = await parseData('d.csv', 'instruction,context,response\nSum up,A long text,Short\nSay hi,,Hi\n');
    expect(filled.rows).toMatchObject([{ prompt: 'Sum up\n\nA long text', completion: 'Short' }, { prompt: 'Say hi', completion: 'Hi' }]);
    const some = await parseData('d.jsonl', '{"instruction":"Sum up","input":"A text","output":"Short"}\n{"instruction":"Say hi","output":"Hi"}');
    expect(some.rows).toMatchObject([{ prompt: 'Sum up\n\nA text' }, { prompt: 'Say hi' }]);
    const chosen = await parseData('d.csv', 'a;b;c\n1;2;3\n', { prompt: 'c', completion: 'a' });
    expect(chosen).toMatchObject({ form: 'pair', rows: [{ prompt: '3', completion: '1' }] });
  });

  it('conversations under both of their usual spellings, and in a cell of a sheet', async () => {
    const messages = [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello' }];
    const shared = [{ from: 'human', value: 'Hi' }, { from: 'gpt', value: 'Hello' }];
    for (const [name, content] of [
      ['a.jsonl', JSON.stringify({ messages })], ['a.json', JSON.stringify([{ conversations: shared }])], ['a.csv', Papa.unparse([{ messages: JSON.stringify(messages) }])],
      ['b.jsonl', JSON.stringify({ messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }, messages[1]] })],
    ] as const) expect((await parseData(name, content)).rows).toEqual([{ kind: 'chat', place: name === 'a.jsonl' || name === 'b.jsonl' ? 'line 1' : 'row 1', messages }]);
  });

  it('the built-in sets', async () => {
    const read = (path: string) => readFileSync(new URL(`../../public/data/${path}`, import.meta.url), 'utf8');
    const cards = JSON.parse(read('index.json')) as { id: string; bytes: number; rows: number; format: string; prompt: string }[];
    expect(cards.map((card) => card.id)).toEqual(['king-james', 'wordnet-json', 'fashion-negative']);
    for (const card of cards.filter(({ format }) => format !== 'pictures')) {
      expect(JSON.parse(read(`${card.id}/card.json`))).toEqual(card);
      const name = card.format === 'text' ? 'data.txt' : 'data.jsonl';
      const content = read(`${card.id}/${name}`);
      expect(Buffer.byteLength(content)).toBe(card.bytes);
      const { format, rows } = await parseData(name, content);
      expect(format).toBe(card.format);
      expect(format === 'rows' ? rows.length : content.split('\n').filter((line) => line !== '').length).toBe(card.rows);
    }
    for (const row of (await parseData('data.jsonl', read('wordnet-json/data.jsonl'))).rows) {
      if (row.kind !== 'pair') throw new Error('not a pair');
      expect(Object.keys(JSON.parse(row.completion))).toEqual(['word', 'pos', 'kind', 'meaning']);
      expect(row.completion).not.toContain('heron');
    }
  });
});

describe('what is refused', () => {
  const forms = '{"text": "…"} or {"prompt": "…", "completion": "…"}';
  it.each<[string, string, string, string]>([
    ['an unknown ending', 'poem.xyz', 'a,b', 'poem.xyz: this kind of file is not read: the name ends in .xyz; Files read here: .txt, .md, .jsonl, .json, .csv, .tsv, .parquet.'],
    ['a spreadsheet', 'poem.xlsx', 'PK', 'poem.xlsx: this kind of file is not read: the name ends in .xlsx; Save the sheet as .csv.'],
    ['a document', 'poem.pdf', '%PDF', 'poem.pdf: this kind of file is not read: the name ends in .pdf; Save its text as .txt.'],
    ['a zip', 'poem.zip', 'PK', 'poem.zip: this kind of file is not read: the name ends in .zip; Unpack it, and choose the file inside.'],
    ['no ending', 'poem', 'a', 'poem: this kind of file is not read: the name has no ending; Files read here: .txt, .md, .jsonl, .json, .csv, .tsv, .parquet.'],
    ['an empty file', 'a.txt', '', 'a.txt: the file is empty: 0 bytes; Choose a file with text in it.'],
    ['only spaces', 'a.txt', '\ufeff \r\n\t\n', 'a.txt: there is nothing to learn: only spaces and blank lines; Choose a file with text in it.'],
    ['only blank lines of rows', 'a.jsonl', '\n\n', 'a.jsonl: there is nothing to learn: only spaces and blank lines; Choose a file with text in it.'],
    ['zero bytes', 'a.txt', 'PNG\r\nx\0y', 'a.txt: line 2: not a text file: a zero byte; Choose a plain text file; text saved as UTF-16 must be saved again as UTF-8.'],
    ['another encoding', 'a.txt', `Caf\ufffd\nna\ufffdve`, 'a.txt: line 1: not UTF-8: 2 of 10 characters cannot be read, the first one here; Save the file as UTF-8.'],
    ['broken JSON', 'd.jsonl', '{"text": "ok"}\n{"prompt": "a" "completion": "b"}', 'd.jsonl: line 2: broken JSON: column 16: wanted , or }, got "completion": "b"} (after …rompt": "a" ); Correct the line; quotes and line breaks inside a string are written \\" and \\n.'],
    ['a line cut short', 'd.jsonl', '{"text": "never en', 'd.jsonl: line 1: broken JSON: column 19: wanted a closing ", got the end of the line; Correct the line; quotes and line breaks inside a string are written \\" and \\n.'],
    ['an object over several lines', 'd.jsonl', '{\n  "text": "a"\n}', `d.jsonl: line 1: broken JSON: column 2: wanted a key in double quotes, got the end of the line; Write each row on one line: ${forms}.`],
    ['Python quotes', 'd.jsonl', "{'text': 'a'}", `d.jsonl: line 1: broken JSON: column 2: wanted a key in double quotes, got 'text': 'a'} (after {); Correct the line; quotes and line breaks inside a string are written \\" and \\n.`],
    ['no JSON at all', 'd.jsonl', 'Once upon a time', 'd.jsonl: line 1: broken JSON: column 1: wanted a value (a string in double quotes, a number, true, false, null, { or [), got Once upon a time; Correct the line; quotes and line breaks inside a string are written \\" and \\n.'],
    ['two objects in a line', 'd.jsonl', '{"text":"a"}{"text":"b"}', 'd.jsonl: line 1: broken JSON: column 13: wanted the end of the line after the row, got {"text":"b"} (after {"text":"a"}); Correct the line; quotes and line breaks inside a string are written \\" and \\n.'],
    ['a list', 'd.jsonl', '["a", "b"]', `d.jsonl: line 1: a row must be an object: got a list; Write one row a line: ${forms}.`],
    ['a bare string', 'd.jsonl', '"a"', `d.jsonl: line 1: a row must be an object: got a string; Write one row a line: ${forms}.`],
    ['other keys', 'd.jsonl', '{"q":"a"}\n\n{"q":"q","w":"a"}', `d.jsonl: neither "text" nor "prompt" and "completion": the columns are "q", "w"; Say which column is what. Usual names need no choice, as in ${forms}.`],
    ['many other keys', 'd.jsonl', '{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}', `d.jsonl: line 1: neither "text" nor "prompt" and "completion": the columns are "a", "b", "c", "d", "e", "f" and 1 more; Say which column is what. Usual names need no choice, as in ${forms}.`],
    ['no keys', 'd.jsonl', '{}', `d.jsonl: line 1: neither "text" nor "prompt" and "completion": the row is {}; Say which column is what. Usual names need no choice, as in ${forms}.`],
    ['half a pair', 'd.jsonl', '{"prompt":"q"}', `d.jsonl: line 1: "completion" is missing: the columns are "prompt"; Say which column is what. Usual names need no choice, as in ${forms}.`],
    ['the other half', 'd.jsonl', '{"completion":"q"}', `d.jsonl: line 1: "prompt" is missing: the columns are "completion"; Say which column is what. Usual names need no choice, as in ${forms}.`],
    ['a number for text', 'd.jsonl', '{"text": 5}', 'd.jsonl: line 1: "text" must be a string: got 5; Put the value in double quotes, or choose another column.'],
    ['null for a completion', 'd.jsonl', '{"prompt":"a","completion":null}', 'd.jsonl: line 1: "completion" must be a string: got null; Fill it in, or remove the row.'],
    ['a list for a prompt', 'd.jsonl', '{"prompt":["a"],"completion":"b"}', 'd.jsonl: line 1: "prompt" must be a string: got a list; Put the value in double quotes, or choose another column.'],
    ['an empty completion', 'd.jsonl', '{"prompt":"a","completion":" "}', 'd.jsonl: line 1: "completion" is empty: there is nothing to learn in this row; Fill it in, or remove the row.'],
    ['both kinds in a row', 'd.jsonl', '{"text":"a","prompt":"b","completion":"c"}', 'd.jsonl: line 1: two kinds in one row: "text" beside "prompt" and "completion"; Keep one kind. Say which column is what.'],
    ['both kinds in a file', 'd.jsonl', '\n{"text":"a"}\n{"prompt":"b","completion":"c"}', 'd.jsonl: two kinds of rows in one file: line 2 has "text", line 3 has "prompt" and "completion"; Keep one kind of row, and put the other into a file of its own.'],
    ['a text beside one without', 'd.jsonl', '{"text":"a"}\n{"other":1}\n{"text":7}', 'd.jsonl: line 2: "text" is missing: the columns are "other"; Give every row the same columns, or leave the row out.'],
    ['JSON that is no list', 'd.json', '"a"', `d.json: rows must stand in a list: got a string; Write [${forms}, …].`],
    ['an empty list', 'd.json', '[]', 'd.json: there is nothing to learn: the list is empty; Choose a file with rows in it.'],
    ['two lists in one file', 'd.json', '{"train":[{"text":"a"}],"test":[{"text":"b"}]}', 'd.json: several lists of rows: "train", "test"; Save one of them into a file of its own.'],
    ['a broken list', 'd.json', '[\n  {"text": "a"},\n  {"text": "b" "c"}\n]', 'd.json: line 3: broken JSON: column 16: wanted , or }, got "c"} (after …"text": "b" ); Correct the line; quotes and line breaks inside a string are written \\" and \\n.'],
    ['a sheet with nothing below its head', 'd.csv', 'text,label\n', 'd.csv: there is nothing to learn: only the first line, with the names of 2 columns; Add rows below it.'],
    ['a row of another width', 'd.csv', 'text,label\none,a\ntwo,three,b\n', 'd.csv: row 2: 3 cells, the first line names 2 (separated by commas): "two,three,b"; Put cells that hold the separator or a line break in double quotes.'],
    ['a quote that never ends', 'd.csv', 'text,label\n"one,a\ntwo,b\n', 'd.csv: row 1: a quoted cell is never closed: "one,a\\ntwo,b\\n"; Put cells with quotes or line breaks in double quotes, and write a quote inside as two: "".'],
    ['a column named twice', 'd.csv', 'text,text\na,b\n', 'd.csv: the first line: two columns have the name "text"; The first line must name the columns.'],
    ['a column without a name', 'd.csv', 'text,,x\na,b,c\n', 'd.csv: the first line: column 2 has no name; The first line must name the columns.'],
    ['a talk without an answer', 'd.jsonl', '{"messages":[{"role":"user","content":"hi"}]}', 'd.jsonl: line 1: "messages": no assistant turn: there is nothing to learn in this row; Add an answer, or remove the row.'],
    ['a talk with a tool', 'd.jsonl', '{"messages":[{"role":"tool","content":"hi"}]}', 'd.jsonl: line 1: "messages": message 1: the role must be system, user or assistant: got "tool"; Leave out rows with tool calls, or rewrite the role.'],
    ['a talk with a picture', 'd.jsonl', '{"messages":[{"role":"user","content":[{"type":"image"}]}]}', 'd.jsonl: line 1: "messages": message 1: a part of the content is not text: got "image"; Only text can be learned here; leave the row out.'],
    ['a talk that is none', 'd.jsonl', '{"messages":"hello"}', 'd.jsonl: line 1: "messages" must be a list of messages: got text that is no JSON: "hello"; Write [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}].'],
    ['a label that is a list', 'd.jsonl', '{"text":"a","label":[1]}', 'd.jsonl: line 1: "label" must be one label: got a list; Choose a column with a word or a number in each row.'],
  ])('%s', async (_, name, content, message) => {
    expect(await refusal(name, content)).toBe(message);
  });

  it.each<[string, Columns, string]>([
    ['a column that is not there', { text: 'body' }, 'd.csv: there is no column "body" for the text: the columns are "a", "b"; Say which column is what.'],
    ['roles that do not go together', { text: 'a', completion: 'b' }, 'd.csv: text does not go together with completion; Choose text alone; prompt and completion; messages alone; or text and label.'],
    ['half a pair', { completion: 'b' }, 'd.csv: "completion" without "prompt"; Choose the column of the prompts too.'],
    ['a label alone', { label: 'b' }, 'd.csv: "label" without "text"; Choose the column of the texts too.'],
    ['nothing to learn', { prompt: 'b' }, 'd.csv: nothing to learn among the columns chosen: prompt; Choose a column of texts, of completions, of labels or of messages.'],
  ])('a choice of columns: %s', async (_, columns, message) => {
    expect(await refusal('d.csv', 'a,b\n1,2\n', columns)).toBe(message);
  });

  it('bytes that are no parquet, and parquet that is cut off', async () => {
    const refused = async (content: Uint8Array<ArrayBuffer>) => {
      const error = await readTable({ name: 'd.parquet', content }).then(() => { throw new Error('was not refused'); }, (e: DataError) => e);
      return `${error.message}; ${error.hint}`;
    };
    expect(await refused(new TextEncoder().encode('version https://git-lfs'))).toBe('d.parquet: not a parquet file: it begins with "vers", not with "PAR1"; This is a Git LFS pointer, not the file: fetch it with git lfs pull.');
    expect(await refused(new TextEncoder().encode('<html></html>'))).toContain('download it again');
    const whole = parquetOf([{ name: 'text', data: Array.from({ length: 50 }, (_, i) => `row ${i}`) }]);
    expect(await refused(whole.slice(0, whole.length - 7))).toMatch(/^d\.parquet: the parquet footer cannot be read: /);
    // Damage anywhere is an error by name or other rows, never anything else.
    await fc.assert(fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, byte) => {
      const damaged = whole.slice();
      damaged[at] = byte;
      const outcome = await readTable({ name: 'd.parquet', content: damaged }).catch((e: unknown) => e);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(DataError);
    }), { numRuns: 300 });
  });

  it('a single damaged character in a long text is let through', async () => {
    expect((await parseData('a.txt', `${'word '.repeat(1000)}\ufffd`)).format).toBe('text');
  });

  it('any bytes under any ending: rows, or a DataError with a hint', async () => {
    const anything = fc.oneof(fc.string({ unit: 'binary' }), fc.json(), fc.array(fc.string()).map((cells) => cells.join(',')));
    await fc.assert(fc.asyncProperty(fc.constantFrom('.txt', '.jsonl', '.json', '.csv', '.tsv', '.md', '.parquet'), anything, async (ending, text) => {
      const outcome = await parseRowsOf(`a${ending}`, new TextEncoder().encode(text)).catch((e: unknown) => e);
      if (!(outcome instanceof Error)) return;
      expect(outcome).toBeInstanceOf(DataError);
      expect((outcome as DataError).hint).not.toBe('');
    }), { numRuns: 1500 });
  });

  it.each([
    ['{"text": "a\\q"}', 12, 'one of " \\ / b f n r t u after \\'],
    ['{"text": "\\u12"}', 11, 'four hexadecimal digits after \\u'],
    ['{"text": "a\tb"}', 12, 'an escape such as \\t or \\n in place of a control character'],
    ['{"text": "a",}', 14, 'a key in double quotes'],
    ['{"text" "a"}', 9, ': after the key'],
    ['{"text": }', 10, 'a value'],
    ['{"text": NaN}', 10, 'a value'],
    ['{"text": 01}', 10, 'a value'],
    ['{"a": [1, 2}', 12, ', or ]'],
    ['{"a": [1, ]}', 11, 'a value'],
    ['{"text": "a"', 13, ', or }'],
    ['{"text": "a"} ,', 15, 'the end of the line'],
    [`${'['.repeat(50_000)}`, 50_001, 'a value'],
  ])('places the fault in %#', async (source, column, wanted) => {
    expect(await refusal('d.jsonl', source)).toContain(`d.jsonl: line 1: broken JSON: column ${column}: wanted ${wanted}`);
  });

  it('finds a fault in every broken line, never beyond its end, and at the place the engine names', async () => {
    const broken = fc.tuple(fc.json({ maxDepth: 3 }), fc.nat(), fc.nat(3), fc.constantFrom('', '"', '}', ']', ',', ':', '\\', 'x', '1', '{', ' '))
      .map(([json, at, removed, put]) => {
        const start = at % (json.length + 1);
        return json.slice(0, start) + put + json.slice(start + removed);
      })
      .filter((source) => source.trim() !== '' && !/[\0\r\n\ufffd]/.test(source));
    await fc.assert(fc.asyncProperty(broken, async (source) => {
      let engine = '';
      try {
        JSON.parse(source);
        return;
      } catch (error) {
        engine = (error as Error).message;
      }
      const column = Number(/broken JSON: column (\d+)/.exec(await refusal('d.jsonl', source))?.[1]);
      expect(column).toBeGreaterThanOrEqual(1);
      expect(column).toBeLessThanOrEqual(source.length + 1);
      // The engine names a place for some faults; of a bad number or word it takes the good beginning, we point at the whole.
      const place = Number(/^Expected .* at position (\d+)/.exec(engine)?.[1] ?? -1);
      if (place >= 0 && !/[\w.+-]/.test(source.charAt(place - 1))) expect(column - 1).toBe(place);
    }), { numRuns: 2000 });
  });
});
