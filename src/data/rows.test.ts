import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/errors';
import { parseData } from './rows';

/** Message and hint of the refusal. */
function refusal(name: string, content: string): string {
  try {
    parseData(name, content);
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).hint).toMatch(/^[A-Z].*\.$/);
    return `${(error as DataError).message}; ${(error as DataError).hint}`;
  }
  throw new Error('was not refused');
}

describe('what is read', () => {
  it('a .txt file is one text, with plain line ends and no byte-order mark', () => {
    expect(parseData('a.txt', '\ufeffone\r\ntwo\rthree\n\n')).toEqual({ format: 'text', rows: [{ kind: 'text', line: 1, text: 'one\ntwo\nthree\n\n' }] });
    expect(parseData('A.TXT', 'x').format).toBe('text');
  });

  it('a .jsonl file has a row a line, and rows remember their line', () => {
    const content = '\ufeff{"text": "one"}\r\n\r\n{"text":"two", "id": 7}\r\n\n\n';
    expect(parseData('a.jsonl', content)).toEqual({ format: 'rows', rows: [{ kind: 'text', line: 1, text: 'one' }, { kind: 'text', line: 3, text: 'two' }] });
    expect(parseData('a.jsonl', '{"prompt":"","completion":"b\\nc"}')).toEqual({ format: 'rows', rows: [{ kind: 'pair', line: 1, prompt: '', completion: 'b\nc' }] });
  });

  it('any rows survive being written and read', () => {
    const field = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => text.trim() !== '' && !text.includes('\ufffd'));
    const pairs = fc.array(fc.record({ prompt: field, completion: field }), { minLength: 1, maxLength: 8 });
    fc.assert(fc.property(pairs, fc.constantFrom('\n', '\r\n'), (rows, end) => {
      const parsed = parseData('r.jsonl', rows.map((row) => JSON.stringify(row) + end).join(''));
      expect(parsed.rows).toEqual(rows.map((row, i) => ({ kind: 'pair', line: i + 1, ...row })));
    }));
  });

  it('the built-in sets', () => {
    const read = (path: string) => readFileSync(new URL(`../../public/data/${path}`, import.meta.url), 'utf8');
    const cards = JSON.parse(read('index.json')) as { id: string; bytes: number; rows: number; format: string; prompt: string }[];
    expect(cards.map((card) => card.id)).toEqual(['king-james', 'wordnet-json']);
    for (const card of cards) {
      expect(JSON.parse(read(`${card.id}/card.json`))).toEqual(card);
      const name = card.format === 'text' ? 'data.txt' : 'data.jsonl';
      const content = read(`${card.id}/${name}`);
      expect(Buffer.byteLength(content)).toBe(card.bytes);
      const { format, rows } = parseData(name, content);
      expect(format).toBe(card.format);
      expect(format === 'rows' ? rows.length : content.split('\n').filter((line) => line !== '').length).toBe(card.rows);
    }
    for (const row of parseData('data.jsonl', read('wordnet-json/data.jsonl')).rows) {
      if (row.kind !== 'pair') throw new Error('not a pair');
      expect(Object.keys(JSON.parse(row.completion))).toEqual(['word', 'pos', 'kind', 'meaning']);
      expect(row.completion).not.toContain('heron');
    }
  });
});

describe('what is refused', () => {
  const forms = '{"text": "…"} or {"prompt": "…", "completion": "…"}';
  it.each<[string, string, string, string]>([
    ['an unknown ending', 'poem.csv', 'a,b', `poem.csv: this kind of file is not read: the name ends in .csv; Save running text as .txt, or rows as .jsonl with one ${forms} a line.`],
    ['no ending', 'poem', 'a', `poem: this kind of file is not read: the name has no ending; Save running text as .txt, or rows as .jsonl with one ${forms} a line.`],
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
    ['other keys', 'd.jsonl', '{"text":"a"}\n\n{"question":"q","answer":"a"}', `d.jsonl: line 3: neither "text" nor "prompt" and "completion": the keys are "question", "answer"; Name the keys as in ${forms}.`],
    ['many other keys', 'd.jsonl', '{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}', `d.jsonl: line 1: neither "text" nor "prompt" and "completion": the keys are "a", "b", "c", "d", "e", "f" and 1 more; Name the keys as in ${forms}.`],
    ['no keys', 'd.jsonl', '{}', `d.jsonl: line 1: neither "text" nor "prompt" and "completion": the row is {}; Name the keys as in ${forms}.`],
    ['half a pair', 'd.jsonl', '{"prompt":"q"}', `d.jsonl: line 1: "completion" is missing: the keys are "prompt"; Name the keys as in ${forms}.`],
    ['the other half', 'd.jsonl', '{"completion":"q"}', `d.jsonl: line 1: "prompt" is missing: the keys are "completion"; Name the keys as in ${forms}.`],
    ['a number for text', 'd.jsonl', '{"text": 5}', 'd.jsonl: line 1: "text" must be a string: got 5; Put the value in double quotes.'],
    ['null for a completion', 'd.jsonl', '{"prompt":"a","completion":null}', 'd.jsonl: line 1: "completion" must be a string: got null; Put the value in double quotes.'],
    ['a list for a prompt', 'd.jsonl', '{"prompt":["a"],"completion":"b"}', 'd.jsonl: line 1: "prompt" must be a string: got a list; Put the value in double quotes.'],
    ['an empty completion', 'd.jsonl', '{"prompt":"a","completion":" "}', 'd.jsonl: line 1: "completion" is empty: there is nothing to learn in this row; Fill it in, or remove the row.'],
    ['both kinds in a row', 'd.jsonl', '{"text":"a","prompt":"b","completion":"c"}', 'd.jsonl: line 1: two kinds in one row: "text" beside "prompt"; Keep either "text", or "prompt" and "completion".'],
    ['both kinds in a file', 'd.jsonl', '\n{"text":"a"}\n{"prompt":"b","completion":"c"}', 'd.jsonl: line 3: two kinds of rows in one file: this row has "prompt" and "completion", line 2 has "text"; Keep one kind of row, and put the other into a file of its own.'],
  ])('%s', (_, name, content, message) => {
    expect(refusal(name, content)).toBe(message);
  });

  it('a single damaged character in a long text is let through', () => {
    expect(parseData('a.txt', `${'word '.repeat(1000)}\ufffd`).format).toBe('text');
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
  ])('places the fault in %#', (source, column, wanted) => {
    expect(refusal('d.jsonl', source)).toContain(`d.jsonl: line 1: broken JSON: column ${column}: wanted ${wanted}`);
  });

  it('finds a fault in every broken line, never beyond its end, and at the place the engine names', () => {
    const broken = fc.tuple(fc.json({ maxDepth: 3 }), fc.nat(), fc.nat(3), fc.constantFrom('', '"', '}', ']', ',', ':', '\\', 'x', '1', '{', ' '))
      .map(([json, at, removed, put]) => {
        const start = at % (json.length + 1);
        return json.slice(0, start) + put + json.slice(start + removed);
      })
      .filter((source) => source.trim() !== '' && !/[\0\r\n\ufffd]/.test(source));
    fc.assert(fc.property(broken, (source) => {
      let engine = '';
      try {
        JSON.parse(source);
        return;
      } catch (error) {
        engine = (error as Error).message;
      }
      const column = Number(/broken JSON: column (\d+)/.exec(refusal('d.jsonl', source))?.[1]);
      expect(column).toBeGreaterThanOrEqual(1);
      expect(column).toBeLessThanOrEqual(source.length + 1);
      // The engine names a place for some faults; of a bad number or word it takes the good beginning, we point at the whole.
      const place = Number(/^Expected .* at position (\d+)/.exec(engine)?.[1] ?? -1);
      if (place >= 0 && !/[\w.+-]/.test(source.charAt(place - 1))) expect(column - 1).toBe(place);
    }), { numRuns: 2000 });
  });
});
