// Where a line of JSON stops being JSON. Engines word this each in their own way, and some leave the place out.

const JSON_TOKEN = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])|[{}[\],:]/y;
const JSON_STRING_START = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;
type Wanted = 'value' | 'first value' | 'key' | 'first key' | 'colon' | 'next';

/** Where a line stops being JSON, and what JSON wants there. Wants a source that JSON.parse refuses. */
export function jsonFault(source: string): { offset: number; wanted: string } {
  /** The closing brackets still owed. */
  const owed: string[] = [];
  let wanted: Wanted = 'value';
  let offset = 0;
  for (;;) {
    while (/[ \t\n\r]/.test(source.charAt(offset))) offset++;
    if (wanted === 'next' && owed.length === 0) return { offset, wanted: 'the end of the line after the row' };
    JSON_TOKEN.lastIndex = offset;
    const token = JSON_TOKEN.exec(source)?.[0] ?? '';
    const close = owed.at(-1) ?? '';
    const isString = token.startsWith('"');
    if (source[offset] === '"' && !isString && wanted !== 'colon' && wanted !== 'next') return stringFault(source, offset);

    if (token !== '' && token === close && (wanted === 'next' || wanted.startsWith('first'))) {
      owed.pop();
      wanted = 'next';
    } else if (wanted === 'next') {
      if (token !== ',') return { offset, wanted: `, or ${close}` };
      wanted = close === '}' ? 'key' : 'value';
    } else if (wanted === 'colon') {
      if (token !== ':') return { offset, wanted: ': after the key' };
      wanted = 'value';
    } else if (wanted === 'key' || wanted === 'first key') {
      if (!isString) return { offset, wanted: 'a key in double quotes' };
      wanted = 'colon';
    } else if (token === '{' || token === '[') {
      owed.push(token === '{' ? '}' : ']');
      wanted = token === '{' ? 'first key' : 'first value';
    } else {
      if (token === '' || '}],:'.includes(token)) return { offset, wanted: 'a value (a string in double quotes, a number, true, false, null, { or [)' };
      wanted = 'next';
    }
    offset += token.length;
  }
}

function stringFault(source: string, start: number): { offset: number; wanted: string } {
  JSON_STRING_START.lastIndex = start;
  const offset = start + (JSON_STRING_START.exec(source)?.[0].length ?? 0);
  if (offset >= source.length) return { offset, wanted: 'a closing "' };
  if (source[offset] !== '\\') return { offset, wanted: 'an escape such as \\t or \\n in place of a control character' };
  return { offset, wanted: source[offset + 1] === 'u' ? 'four hexadecimal digits after \\u' : 'one of " \\ / b f n r t u after \\' };
}
