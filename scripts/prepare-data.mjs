// Makes the built-in data sets in public/data out of three Debian packages:
//   king-james    books of the King James Bible, one verse a line, from bible-kjv-text
//   wordnet-json  dictionary entries as one-line JSON, from wordnet-base
//   fashion-negative  garments, dark on light, from dataset-fashion-mnist
// and writes public/data/index.json. A set that is complete is left alone; --force makes it again. The result depends only on
// the packages. Needs apt-get and dpkg (Debian, Ubuntu); the sets are in the repository, so only a change of them needs this.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Tokenizer } from '@huggingface/tokenizers';
import { encode as encodePng } from 'fast-png';
import { zipSync } from 'fflate';

const PUBLIC = fileURLToPath(new URL('../public', import.meta.url));
const DATA = join(PUBLIC, 'data');

const say = (line) => process.stdout.write(`${line}\n`);
const run = (program, programArguments, options) => execFileSync(program, programArguments, options);

/** Unpacks a package into the temporary folder; gives its root and version. */
function fetchPackage(name, temporary) {
  say(`  fetching ${name} (apt-get download, dpkg -x)`);
  const folder = join(temporary, name);
  mkdirSync(folder);
  try {
    run('apt-get', ['download', name], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const reason = error.code === 'ENOENT' ? 'there is no apt-get here' : String(error.stderr).trim();
    throw new Error(`${name}: not fetched: ${reason}; run this on Debian or Ubuntu with a package source, after "apt-get update"`);
  }
  const archive = readdirSync(folder).find((file) => file.endsWith('.deb'));
  run('dpkg', ['-x', join(folder, archive), folder]);
  return { folder, version: decodeURIComponent(archive.split('_')[1]) };
}

// ---- king-james ----

// Books in which people mostly speak and act. Psalms and Proverbs stay out: the base models read a Victorian commentary that
// quotes them. The last book is a narrative, because the end of a text is what is held out for validation.
const BOOKS = ['Ge', 'Ruth', '1Sm', '2Sm', 'Eccl', 'Dan', 'Jonah', 'Luke'];
const BOOK_TITLES = 'Genesis, Ruth, 1 and 2 Samuel, Ecclesiastes, Daniel, Jonah and Luke';

/**
 * The text file of the Bible Retrieval System: at 0x58 the number of windows, at 0x5c their offsets (big-endian, one more than
 * there are windows); each window is 64 kB of text in the LZW of compress(1), with the code table begun afresh.
 */
function unpackBible(file) {
  const count = file.readUInt32BE(0x58);
  const offset = (i) => file.readUInt32BE(0x5c + 4 * i);
  return Array.from({ length: count }, (_, i) => unpackLzw(file.subarray(offset(i), offset(i + 1))).toString('latin1')).join('');
}

/** Codes of 9 to 16 bits, lowest bit first, 256 ends. Codes come in groups of eight; a change of width skips the rest of a group. */
function unpackLzw(bytes) {
  const prefix = new Uint16Array(65536), suffix = new Uint8Array(65536);
  const out = [];
  let width = 9, group = 0, inGroup = 0, free = 257, previous = -1, first = 0;
  for (;;) {
    if (free >= 1 << width && width < 16) {
      if (inGroup > 0) group += width;
      inGroup = 0;
      width++;
    }
    const start = 8 * group + width * inGroup;
    if (start + width > 8 * bytes.length) break;
    let code = 0;
    for (let i = 0; i < width; i++) code |= ((bytes[(start + i) >> 3] >> ((start + i) & 7)) & 1) << i;
    if (code === 256) break;
    if (++inGroup === 8) {
      group += width;
      inGroup = 0;
    }
    if (code > free || (code === free && previous < 0)) throw new Error(`bible.data: broken LZW code ${code}`);
    // A code not yet in the table stands for the previous string and its own first letter.
    const reversed = code === free ? [first] : [];
    let rest = code === free ? previous : code;
    for (; rest > 256; rest = prefix[rest]) reversed.push(suffix[rest]);
    first = rest;
    out.push(first, ...reversed.reverse());
    if (previous >= 0 && free < 65536) {
      prefix[free] = previous;
      suffix[free++] = first;
    }
    previous = code;
  }
  return Buffer.from(out);
}

function kingJames(temporary) {
  const { folder, version } = fetchPackage('bible-kjv-text', temporary);
  const verses = unpackBible(readFileSync(join(folder, 'usr/lib/bible.data'))).split('\n')
    .map((line) => /^([123]?[A-Za-z]+)(\d+):\d+ (.+)$/.exec(line.trim()))
    .filter((match) => match !== null)
    .map(([, book, chapter, text]) => ({ book, chapter, text: text.replace(/\s+/g, ' ') }));
  if (verses.length !== 31102) throw new Error(`bible-kjv-text ${version}: wanted 31,102 verses, read ${verses.length}; the layout of bible.data has changed`);

  // One verse a line without its number, a blank line between chapters: the lines alone show at a glance what was learned.
  const chapters = new Map();
  for (const { book, chapter, text } of verses) {
    if (!BOOKS.includes(book)) continue;
    const key = `${String(BOOKS.indexOf(book)).padStart(2, '0')} ${chapter.padStart(3, '0')}`;
    chapters.set(key, [...(chapters.get(key) ?? []), text]);
  }
  const chosen = [...chapters.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, lines]) => lines);
  const legend = /^\s*(This file is provided for unrestricted use[\s\S]*?at will\.)/m.exec(readFileSync(join(folder, 'usr/share/doc/bible-kjv-text/copyright'), 'utf8'));
  return {
    file: 'data.txt',
    content: `${chosen.map((lines) => lines.join('\n')).join('\n\n')}\n`,
    card: {
      title: 'King James Bible',
      format: 'text',
      rows: chosen.flat().length,
      summary: `${BOOK_TITLES} in the English of 1611, one verse a line, without verse numbers. The built-in models know a modern Bible in other words; this voice is new to them. The held-out part is the end of Luke.`,
      licence: 'Public domain',
      prompt: 'Once upon a time',
    },
    licenceFile: 'NOTICE.txt',
    licence: `King James Version of the Bible (1611, in the spelling of later editions): ${BOOK_TITLES}.

The translation is in the public domain. (In the United Kingdom the Crown holds the right to print it.)

The text was taken from the Debian package bible-kjv-text ${version}, which carries the text file of the Bible Retrieval System
by Chip Chapin, under this legend:

    ${legend[1].split('\n').map((line) => line.trim()).join('\n    ')}
                -- Chip Chapin, September 4, 1989

Changes: eight books chosen; verse numbers removed; one verse a line; a blank line between chapters.
`,
  };
}

// ---- wordnet-json ----

const ENTRIES = 4000;
/** Rows fit the default row length, so that none loses its closing bracket. Measured with the tokenizer of the built-in models. */
const MOST_TOKENS = 64;
const MOST_WORDS = 12;
/** Kept out, so that a sample prompt asks for a word that was not trained on. */
const RESERVED = new Set(['heron', 'lantern', 'whisper', 'gentle']);
const PROMPTS = [(w) => `Look up "${w}".`, (w) => `Entry for "${w}".`, (w) => `Entry: ${w}`, (w) => `Give the entry of "${w}".`];
const POS_OF_DIGIT = { 1: 'noun', 2: 'verb', 3: 'adj', 4: 'adv', 5: 'adj' };
const POS_TITLES = { noun: 'noun', verb: 'verb', adj: 'adjective' };

// WordNet marks a usage on few senses; the word list below does the rest.
const BAD_USAGE = /obscenity|slur|disparagement|slang|vulgar|irony|trade|archaism|combining_form|colloquialism|plural/;
const BAD_TEXT = new RegExp(`\\b(${[
  'sex\\w*', 'hetero\\w*', 'homo\\w*', 'gay', 'lesbian\\w*', 'bisexual\\w*', 'erot\\w*', 'genital\\w*', 'copulat\\w*', 'intercourse', 'masturbat\\w*', 'orgasm\\w*', 'ejaculat\\w*', 'semen', 'sperm\\w*', 'penis', 'vagina\\w*', 'vulva', 'testic\\w*', 'breasts?', 'nipple\\w*', 'buttock\\w*', 'anus', 'anal', 'nude', 'nudity', 'naked\\w*', 'undress\\w*', 'lust\\w*', 'lewd\\w*', 'lasciv\\w*', 'prurien\\w*', 'licentious\\w*', 'promiscu\\w*', 'unchaste\\w*', 'chast\\w*', 'virgin\\w*', 'seduc\\w*', 'fornicat\\w*', 'adulter\\w*', 'incest\\w*', 'rap(e|ed|es|ing|ist)', 'molest\\w*', 'prostitut\\w*', 'brothel\\w*', 'whor\\w*', 'harlot\\w*', 'strumpet', 'slut\\w*', 'pimp\\w*', 'concubin\\w*', 'mistress', 'paramour', 'pornograph\\w*', 'obscen\\w*', 'indecen\\w*', 'fetish\\w*', 'org(y|ies|iastic)', 'bestial\\w*', 'eunuch', 'castrat\\w*', 'circumcis\\w*', 'abort\\w*', 'contracept\\w*', 'menstru\\w*',
  'excre\\w*', 'feces', 'fecal', 'faec\\w*', 'defecat\\w*', 'urin\\w*', 'bowel\\w*', 'dung', 'manure', 'vomit\\w*', 'shit\\w*', 'piss\\w*', 'crap\\w*', 'fart\\w*', 'turd', 'ass', 'arse', 'damn\\w*', 'hell', 'bugger\\w*', 'bloody', 'bitch\\w*', 'bastard\\w*', 'fuck\\w*', 'screw\\w*', 'dick', 'cock', 'pussy', 'tit', 'bosom',
  'negro\\w*', 'nigg\\w*', 'black (person|man|woman|people)', 'blacks', 'whites', 'white (person|man|woman|people)', 'caucasi\\w*', 'mulatto', 'colou?red', 'rac(e|es|ial|ism|ist)', 'ethnic\\w*', 'segregat\\w*', 'apartheid', 'jew\\w*', 'gentile\\w*', 'semit\\w*', 'gyps\\w*', 'eskimo\\w*', 'squaw\\w*', 'redskin\\w*', 'indians?', 'orientals?', 'savages?', 'heathen\\w*', 'pagan\\w*', 'infidel\\w*', 'primitive people', 'queer\\w*', 'slave\\w*', 'enslav\\w*', 'nazi\\w*', 'hitler', 'fascis\\w*', 'holocaust', 'communis\\w*', 'terroris\\w*',
  'kill\\w*', 'murder\\w*', 'suicid\\w*', 'assassin\\w*', 'slaughter\\w*', 'massacre\\w*', 'genocide', 'tortur\\w*', 'lynch\\w*', 'behead\\w*', 'guillotin\\w*', 'hang(ing|ed)?', 'execut(e|ed|ion|ioner)', 'strangl\\w*', 'mutilat\\w*', 'corpse\\w*', 'cadaver\\w*', 'cannib\\w*', 'gore', 'gassing', 'impal\\w*',
  'drug\\w*', 'narcot\\w*', 'heroin', 'cocaine', 'opi(um|ate)\\w*', 'marijuana', 'cannabis', 'hashish', 'dope\\w*', 'addict\\w*', 'drunk\\w*', 'intoxicat\\w*', 'alcoholic\\w*',
  'idiot\\w*', 'moron\\w*', 'imbecil\\w*', 'cretin\\w*', 'retard\\w*', 'spastic\\w*', 'crippl\\w*', 'lame', 'midget\\w*', 'dwar(f|fs|ves|fish)', 'lunatic\\w*', 'insan\\w*', 'deform\\w*', 'freak\\w*', 'stupid\\w*', 'dumb', 'fatso', 'obes\\w*',
  'offensive\\w*', 'derogat\\w*', 'derog', 'insult\\w*', 'vulgar\\w*', 'profan\\w*', 'blasphem\\w*', 'contemptuous\\w*', 'despicabl\\w*', 'contemptibl\\w*',
].join('|')})\\b`, 'i');

function readWordNet(folder) {
  const lines = (file) => readFileSync(join(folder, 'usr/share/wordnet', file), 'latin1').split('\n').filter((line) => line !== '' && !line.startsWith(' '));
  const synsets = new Map(), first = new Map();
  for (const pos of Object.keys(POS_TITLES)) {
    // offset lexfile type count(hex) (word lex-id)… count (symbol offset pos which)… | gloss
    for (const line of lines(`data.${pos}`)) {
      const bar = line.indexOf(' | ');
      const fields = line.slice(0, bar).trim().split(' ');
      const wordCount = Number.parseInt(fields[3], 16), at = 4 + 2 * wordCount;
      synsets.set(pos + fields[0], {
        type: fields[2],
        words: Array.from({ length: wordCount }, (_, i) => fields[4 + 2 * i].replace(/\(\w+\)$/, '')),
        pointers: Array.from({ length: Number(fields[at]) }, (_, i) => ({ symbol: fields[at + 1 + 4 * i], offset: fields[at + 2 + 4 * i], pos: fields[at + 3 + 4 * i] })),
        gloss: line.slice(bar + 3).trim(),
      });
    }
    // lemma pos synsets pointers symbol… senses tagged offset…, the most frequent sense first
    for (const line of lines(`index.${pos}`)) {
      const fields = line.trim().split(' ');
      first.set(`${pos} ${fields[0]}`, fields[6 + Number(fields[3])]);
    }
  }
  // How often each sense was met in tagged text: key sense-number count.
  const counts = new Map();
  for (const line of lines('cntlist.rev')) {
    const match = /^(\S+)%(\d):\S* \d+ (\d+)$/.exec(line);
    if (!match) continue;
    const count = counts.get(match[1]) ?? {};
    const pos = POS_OF_DIGIT[match[2]];
    count[pos] = (count[pos] ?? 0) + Number(match[3]);
    counts.set(match[1], count);
  }
  return { synsets, first, counts };
}

/** The entry of a word in its commonest part of speech and sense, or null where it makes no good one. */
function entryOf(word, count, { synsets, first }) {
  const [pos, met] = Object.entries(count).sort((a, b) => b[1] - a[1])[0];
  const synset = synsets.get(pos + first.get(`${pos} ${word}`));
  if (!synset?.words.includes(word)) return null;
  const find = (symbol) => synset.pointers.find((pointer) => pointer.symbol === symbol);
  // Nouns and verbs: what it is a kind of; adjectives: the adjective that heads its group. Names of single things stay out.
  const above = pos === 'adj' ? (synset.type === 's' ? find('&') : undefined) : find('@');
  if (!above || find('@i')) return null;
  const kind = synsets.get(pos + above.offset).words[0].replace(/_/g, ' ');
  const meaning = synset.gloss.replace(/\([^)]*\)/g, ' ').split(/;|:/)[0].replace(/\s+/g, ' ').replace(/ ,/g, ',').trim();
  const words = meaning.split(' ').length;
  if (words < 2 || words > MOST_WORDS || /["`()\\]|\betc\b/.test(meaning) || /[,.]$/.test(meaning) || kind === word) return null;
  const usages = synset.pointers.filter(({ symbol }) => symbol === ';u').map(({ offset }) => synsets.get(`noun${offset}`)?.words.join(' ') ?? '');
  if (usages.some((usage) => BAD_USAGE.test(usage)) || BAD_TEXT.test(`${word} ${kind} ${synset.words.join(' ').replace(/_/g, ' ')} ${synset.gloss}`)) return null;
  return { met, json: { word, pos: POS_TITLES[pos], kind, meaning } };
}

function wordnetJson(temporary) {
  const { folder, version } = fetchPackage('wordnet-base', temporary);
  const wordnet = readWordNet(folder);
  const model = (file) => JSON.parse(readFileSync(join(PUBLIC, 'models/tale-1m', file), 'utf8'));
  const tokenizer = new Tokenizer(model('tokenizer.json'), model('tokenizer_config.json'));
  const order = (word) => createHash('sha256').update(word).digest('hex');
  const rows = [];
  const candidates = [...wordnet.counts]
    .filter(([word]) => /^[a-z]{3,14}$/.test(word) && !RESERVED.has(word))
    .map(([word, count]) => ({ word, entry: entryOf(word, count, wordnet) }))
    .filter(({ entry }) => entry !== null)
    .sort((a, b) => b.entry.met - a.entry.met || (a.word < b.word ? -1 : 1));
  for (const { word, entry } of candidates) {
    const row = { prompt: PROMPTS[Number.parseInt(order(word).slice(0, 8), 16) % PROMPTS.length](word), completion: JSON.stringify(entry.json) };
    if (tokenizer.encode(`<|user|>${row.prompt}<|assistant|>${row.completion}<|eos|>`).ids.length <= MOST_TOKENS) rows.push({ word, row });
    if (rows.length === ENTRIES) break;
  }
  // In an order that says nothing, so that the first rows are a fair sample.
  rows.sort((a, b) => (order(a.word) < order(b.word) ? -1 : 1));
  const stanza = /License: WordNet3\.0\n([\s\S]*?)\n\nFiles:/.exec(readFileSync(join(folder, 'usr/share/doc/wordnet-base/copyright'), 'utf8'))[1];
  return {
    file: 'data.jsonl',
    content: rows.map(({ row }) => `${JSON.stringify(row)}\n`).join(''),
    card: {
      title: 'WordNet as JSON',
      format: 'rows',
      rows: rows.length,
      summary: `Requests for the entries of ${rows.length.toLocaleString('en')} common English words, answered in one line of JSON with word, part of speech, kind and meaning. The built-in models have read WordNet's definitions as sentences; the JSON form is new to them. “heron” is not among the words, so the sample prompt asks for something unseen; a small model learns the form and invents meanings.`,
      licence: 'WordNet 3.0 licence',
      prompt: '<|user|>Look up "heron".<|assistant|>',
    },
    licenceFile: 'LICENSE.txt',
    licence: `The entries are made from WordNet 3.0 (Debian package wordnet-base ${version}). Changes: the commonest sense of ${rows.length} words
chosen; definitions shortened to their first part, without examples and remarks in brackets; written as JSON.

WordNet's licence:

${stanza.split('\n').map((line) => line.replace(/^ \.?/, '')).join('\n')}
`,
  };
}

// ---- fashion-negative ----

const A_CLASS = 100;
/** As the built-in models name them. */
const GARMENTS = ['T-shirt', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'];

/** Pictures of the test part, which no built-in model has seen, with light and dark exchanged, which makes them strange to all of them. */
function fashionNegative(temporary) {
  const { folder, version } = fetchPackage('dataset-fashion-mnist', temporary);
  const read = (name, head) => gunzipSync(readFileSync(join(folder, 'usr/share/datasets/fashion-mnist', name))).subarray(head);
  const pixels = read('t10k-images-idx3-ubyte.gz', 16), labels = read('t10k-labels-idx1-ubyte.gz', 8);
  if (pixels.length !== 784 * labels.length) throw new Error(`dataset-fashion-mnist ${version}: ${pixels.length} pixels for ${labels.length} labels`);
  const files = {};
  const counts = GARMENTS.map(() => 0);
  labels.forEach((label, i) => {
    if (counts[label] === A_CLASS) return;
    counts[label]++;
    const data = pixels.subarray(784 * i, 784 * (i + 1)).map((grey) => 255 - grey);
    files[`${GARMENTS[label]}/${String(i).padStart(4, '0')}.png`] = encodePng({ width: 28, height: 28, data, channels: 1, depth: 8 }, { zlib: { level: 9 } });
  });
  const rows = Object.keys(files).length;
  return {
    file: 'data.zip',
    // Pictures hardly shrink again; the date is the earliest that zip knows.
    content: zipSync(files, { level: 0, mtime: new Date(1980, 0, 1) }),
    card: {
      title: 'Fashion negatives', format: 'pictures', rows,
      summary: `${rows} grey pictures of ${GARMENTS.length} kinds of garments, from the test part of Fashion-MNIST, with light and dark exchanged. The built-in picture models know the garments, but as light on dark.`,
      licence: 'MIT', prompt: '',
    },
    licenceFile: 'LICENSE.txt',
    licence: `Pictures of the test part of Fashion-MNIST (Debian package dataset-fashion-mnist ${version}). Changes: the first ${A_CLASS} of each class
chosen; light and dark exchanged; written as PNG, a folder a class.

${readFileSync(join(PUBLIC, 'models/patch-4m/LICENSE-fashion-mnist.txt'), 'utf8')}`,
  };
}

// ---- all sets ----

function main() {
  const force = process.argv.includes('--force');
  const temporary = mkdtempSync(join(tmpdir(), 'lowrank-data-'));
  const cards = [];
  try {
    for (const [id, make] of [['king-james', kingJames], ['wordnet-json', wordnetJson], ['fashion-negative', fashionNegative]]) {
      const folder = join(DATA, id), cardFile = join(folder, 'card.json');
      if (!force && existsSync(cardFile)) {
        say(`${id}: is there; --force makes it again`);
      } else {
        say(`${id}: making it`);
        const { file, content, card, licenceFile, licence } = make(temporary);
        const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : Buffer.from(content);
        mkdirSync(folder, { recursive: true });
        writeFileSync(join(folder, file), bytes);
        writeFileSync(join(folder, licenceFile), licence);
        const { title, format, rows, summary, prompt } = card;
        // Last, because a card says that the set is complete.
        writeFileSync(cardFile, `${JSON.stringify({ id, title, format, bytes: bytes.length, rows, summary, licence: card.licence, prompt }, null, 2)}\n`);
        say(`  ${join('public/data', id, file)}: ${bytes.length} bytes, ${rows} ${{ text: 'lines', rows: 'rows', pictures: 'pictures' }[format]}, sha256 ${createHash('sha256').update(bytes).digest('hex')}`);
      }
      cards.push(JSON.parse(readFileSync(cardFile, 'utf8')));
    }
    writeFileSync(join(DATA, 'index.json'), `${JSON.stringify(cards, null, 2)}\n`);
    say('public/data/index.json: written');
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

try {
  main();
} catch (error) {
  process.stderr.write(`prepare-data: ${error.message}\n`);
  process.exitCode = 1;
}
