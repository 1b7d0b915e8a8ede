// Pictures from their files to batches: pixels against Pillow's, every reader, bad files each by its own sentence, splits and hashes.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { zipSync } from 'fflate';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test } from 'vitest';
import { zipFiles } from '../../formats/zip';
import { type PictureTask, arrangePictures, preparePictures } from './dataset';
import { decodePicture } from './decode';
import { pixelsOf, preprocessOf } from './preprocess';
import { readPictures } from './read';
import { type Resample, resize } from './resize';
import pillow from './testing/pillow.json';
import { asFolder, halves, png } from './testing/pictures';

const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));
/** The pictures that pillow.json was made of. */
const pattern = (width: number, height: number) => Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * i * 31 + i * 7) % 251);
const how = preprocessOf(null, { channels: 3, size: 8 });
const classes: PictureTask = { kind: 'image-classification', labels: ['above', 'below'] };
const options = { batch: 4, seed: 7, holdout: 0.2 };
/** A JPEG with an EXIF segment behind its first marker that says how it stands. */
function withExif(jpeg: Uint8Array, orientation: number, little: boolean): Uint8Array {
  const segment = new DataView(new ArrayBuffer(36));
  segment.setUint16(0, 0xffe1);
  segment.setUint16(2, 34);
  segment.setUint32(4, 0x45786966);
  segment.setUint16(10, little ? 0x4949 : 0x4d4d);
  segment.setUint16(12, 42, little);
  segment.setUint32(14, 8, little);
  segment.setUint16(18, 1, little);
  for (const [at, value] of [[20, 0x0112], [22, 3], [28, orientation]] as const) segment.setUint16(at, value, little);
  segment.setUint32(24, 1, little);
  return new Uint8Array([...jpeg.subarray(0, 2), ...new Uint8Array(segment.buffer), ...jpeg.subarray(2)]);
}
const text = (content: string) => new Uint8Array(new TextEncoder().encode(content));

describe('pixels', () => {
  test.each(Object.entries(pillow.resized))('%s is resized as Pillow does, bit for bit', (name, sha) => {
    const [w, h, W, H, filter] = name.match(/\d+/g)!.map(Number) as [number, number, number, number, Resample];
    const resized = resize(pattern(w, h), { width: w, height: h }, { width: W, height: H }, 3, filter);
    expect(createHash('sha256').update(resized).digest('hex')).toBe(sha);
  });

  test.each(Object.entries(pillow.files).filter(([name]) => name.endsWith('.png')))('%s has Pillow’s pixels', async (name, { file, rgba }) => {
    expect([...(await decodePicture(name, bytesOf(file))).rgba]).toEqual([...bytesOf(rgba)]);
  });

  // Decoders round the inverse transform and the colours differently, and blow up thinned colour by other filters; the luma may not move.
  test.each(Object.entries(pillow.files).filter(([name]) => name.endsWith('.jpg')))('%s has about Pillow’s pixels', async (name, { file, rgba }) => {
    const [ours, theirs] = [(await decodePicture(name, bytesOf(file))).rgba, bytesOf(rgba)];
    const luma = (p: ArrayLike<number>, i: number) => 0.299 * p[i]! + 0.587 * p[i + 1]! + 0.114 * p[i + 2]!;
    expect(ours.length).toBe(theirs.length);
    for (let i = 0; i < ours.length; i += 4) expect(Math.abs(luma(ours, i) - luma(theirs, i)), `pixel ${i / 4}`).toBeLessThan(3);
  });

  // EXIF 2.32, 4.6.4: where the stored row 0 and column 0 belong.
  test.each([['top', 'left'], ['top', 'right'], ['bottom', 'right'], ['bottom', 'left'], ['left', 'top'], ['right', 'top'], ['right', 'bottom'], ['left', 'bottom']].map(([row, column], i) => [i + 1, row, column] as const))('EXIF orientation %i: row 0 at the %s, column 0 at the %s', async (orientation, row, column) => {
    const jpeg = bytesOf(pillow.files['base.jpg'].file);
    const { width: w, height: h, rgba } = await decodePicture('base.jpg', jpeg);
    for (const little of [true, false]) {
      const got = await decodePicture('turned.jpg', withExif(jpeg, orientation, little));
      const lies = row === 'left' || row === 'right';
      expect([got.width, got.height]).toEqual(lies ? [h, w] : [w, h]);
      const place = (side: string | undefined, at: number, size: number) => (side === 'top' || side === 'left' ? at : size - 1 - at);
      for (let r = 0; r < h; r++) {
        for (let c = 0; c < w; c++) {
          const [down, across] = [place(row, r, h), place(column, c, w)];
          const [x, y] = lies ? [down, across] : [across, down];
          expect(got.rgba.subarray(4 * (y * got.width + x)).slice(0, 4)).toEqual(rgba.subarray(4 * (r * w + c)).slice(0, 4));
        }
      }
    }
  });

  test('notes of a camera that cannot be read leave the picture as it is', async () => {
    const jpeg = bytesOf(pillow.files['base.jpg'].file);
    const plain = await decodePicture('base.jpg', jpeg);
    const noted = withExif(jpeg, 6, true);
    for (const spoilt of [withExif(jpeg, 9, true), noted.map((byte, i) => (i === 16 ? 255 : byte)), noted.map((byte, i) => (i === 20 ? 0 : byte))]) expect(await decodePicture('odd.jpg', spoilt)).toEqual(plain);
  });

  test('a clear picture stands on white, and one channel is the luma', () => {
    const raster = { width: 1, height: 1, rgba: new Uint8ClampedArray([10, 20, 30, 0]) };
    expect([...pixelsOf(raster, preprocessOf(null, { channels: 3, size: 1 }))]).toEqual([255, 255, 255]);
    expect([...pixelsOf({ ...raster, rgba: new Uint8ClampedArray([255, 0, 0, 255]) }, preprocessOf(null, { channels: 1, size: 1 }))]).toEqual([76]);
  });

  test('the shorter side is resized and the middle cut out', () => {
    const config = { size: { shortest_edge: 2 }, resample: 0, do_center_crop: true, crop_size: { height: 2, width: 2 } };
    const wide = { width: 6, height: 2, rgba: Uint8ClampedArray.from({ length: 48 }, (_, i) => (i % 4 === 3 ? 255 : 10 * (Math.floor(i / 4) % 6))) };
    expect([...pixelsOf(wide, preprocessOf(config, { channels: 3, size: 2 })).subarray(0, 4)]).toEqual([20, 30, 20, 30]);
  });

  test.each([
    [{ size: 16 }, /become 16 × 16, the model reads 8 × 8/], [{ resample: 9 }, /resample: wanted a number from 0 to 5, got 9/], [{ image_mean: [0.5] }, /image_mean: wanted 3 numbers/],
    [{ image_std: [1, 0, 1] }, /image_std: a channel is divided by 0/], [{ size: { longest_edge: 8 } }, /longest_edge is not supported/], [{ do_resize: 'yes' }, /do_resize: wanted true or false/],
  ])('preprocessor_config.json %j is refused', (json, message) => {
    expect(() => preprocessOf(json, { channels: 3, size: 8 })).toThrow(message);
  });
});

describe('bad files, each by its own sentence', () => {
  const good = png(8, () => 9);
  const flipped = good.slice();
  flipped[45] = flipped[45]! ^ 0xff;
  test.each<[string, Uint8Array, RegExp]>([
    ['nothing.png', new Uint8Array(), /nothing\.png: the file is empty: 0 bytes/],
    ['half.png', good.slice(0, 50), /half\.png: the PNG file cannot be read/],
    ['flipped.png', flipped, /flipped\.png: the PNG file cannot be read/],
    ['words.png', text('hello there'), /words\.png: not a picture: it begins with "hello th"/],
    ['pointer.png', text('version https://git-lfs.github.com/spec/v1'), /pointer\.png: not a picture/],
    ['half.jpg', bytesOf(pillow.files['base.jpg'].file).slice(0, 400), /half\.jpg: the JPEG file cannot be read/],
    ['one.webp', bytesOf(pillow.files['one.webp'].file), /one\.webp: a WebP file, which is not read on the command line/],
    ['one.gif', bytesOf(pillow.files['one.gif'].file), /one\.gif: a GIF file, which is not read on the command line/],
  ])('%s', async (name, bytes, message) => {
    await expect(decodePicture(name, bytes)).rejects.toThrow(message);
  });

  test('one in more than a hundred is left out by name; more end it', async () => {
    const bad = { name: 'above/bad.png', bytes: text('no picture') };
    const one = await preparePictures(asFolder('some', [...halves(60), bad]), 'label', how);
    expect(one.rows).toHaveLength(120);
    expect(one.notes.join()).toMatch(/1 of 121 pictures cannot be read and is left out; the first: some: above\/bad\.png: not a picture/);
    await expect(preparePictures(asFolder('few', [...halves(3), bad]), 'label', how)).rejects.toThrow(/^few: above\/bad\.png: not a picture/);
    await expect(preparePictures(asFolder('few', [...halves(3), bad, { ...bad, name: 'below/worse.png' }]), 'label', how)).rejects.toThrow(/above\/bad\.png.*; 1 more of 8 pictures are as bad/);
  });

  test.each<[string, Parameters<typeof asFolder>[1], 'label' | 'caption', RegExp]>([
    ['no picture', [{ name: 'notes.txt', bytes: text('x') }], 'label', /data: there is no picture in it: it holds "notes\.txt"/],
    ['loose pictures', [{ name: 'a.png', bytes: good }, { name: 'cat/b.png', bytes: good }], 'label', /a\.png has no label: it lies in no sub-folder/],
    ['two lists', [{ name: 'a.png', bytes: good }, { name: 'a.csv', bytes: text('x') }, { name: 'b.csv', bytes: text('x') }], 'label', /several lists of labels: "a\.csv", "b\.csv"/],
    ['a list of other pictures', [{ name: 'a.png', bytes: good }, { name: 'labels.csv', bytes: text('file,label\na.png,cat\nz.png,dog\n') }], 'label', /labels\.csv: row 2: there is no picture "z\.png"/],
    ['a list without labels', [{ name: 'a.png', bytes: good }, { name: 'labels.csv', bytes: text('file,size\na.png,3\n') }], 'label', /labels\.csv: no column with labels: the columns are "file", "size"/],
    ['a list with an empty label', [{ name: 'a.png', bytes: good }, { name: 'labels.csv', bytes: text('file,label\na.png,\n') }], 'label', /labels\.csv: row 1: "label" is empty/],
    ['two pictures of one name', [{ name: 'x/a.png', bytes: good }, { name: 'y/a.png', bytes: good }, { name: 'labels.csv', bytes: text('file,label\na.png,cat\n') }], 'label', /labels\.csv: row 1: there is no picture "a\.png" that is the only one of its name/],
    ['a label that is a list', [{ name: 'a.png', bytes: good }, { name: 'labels.jsonl', bytes: text('{"file": "a.png", "label": ["cat"]}\n') }], 'label', /labels\.jsonl: line 1: "label" must be a word: got a list/],
    ['no captions', [{ name: 'cat/a.png', bytes: good }], 'caption', /data: there are no captions in it/],
  ])('%s', async (_, files, wanted, message) => {
    await expect(readPictures(asFolder('data', files), wanted)).rejects.toThrow(message);
  });

  test('a broken zip, another kind of file, a sheet that is no parquet of pictures', async () => {
    await expect(readPictures({ name: 'a.zip', content: text('PK nothing') }, 'label')).rejects.toThrow(/a\.zip: the zip file cannot be read/);
    await expect(readPictures({ name: 'a.txt', content: text('words') }, 'label')).rejects.toThrow(/a\.txt: pictures are not read from this kind of file/);
    const sheet = new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'image', data: ['a.png'] }, { name: 'label', data: ['cat'] }] }));
    await expect(readPictures({ name: 'a.parquet', content: sheet }, 'label')).rejects.toThrow(/a\.parquet: row 1: "image" holds no picture: got a string/);
    const kvMetadata = [{ key: 'huggingface', value: JSON.stringify({ info: { features: { label: { names: ['cat'] } } } }) }];
    const numbered = new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'image', data: [good], type: 'BYTE_ARRAY' }, { name: 'label', data: [1], type: 'INT32' }], kvMetadata }));
    await expect(readPictures({ name: 'b.parquet', content: numbered }, 'label')).rejects.toMatchObject({ message: 'b.parquet: row 1: the label 1 has no name: the file names 1 classes', hint: 'Labels count from 0.' });
    const outside = new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'image', data: [{ path: 'far/a.png' }], type: 'JSON' }, { name: 'label', data: ['cat'] }] }));
    await expect(readPictures({ name: 'c.parquet', content: outside }, 'label')).rejects.toMatchObject({ message: 'c.parquet: row 1: "image" holds no picture: got a path, "far/a.png"', hint: 'The pictures lie outside this file: give their folder or zip.' });
  });
});

describe('the same pictures', () => {
  const files = halves(10);
  const list = text(`file,label\n${files.map(({ name }) => `${name},${name.split('/')[0]}`).join('\n')}\n`);
  const bytes = (content: Uint8Array<ArrayBuffer>, name: string) => ({ name, content });
  const parquet = new Uint8Array(parquetWriteBuffer({
    columnData: [{ name: 'image', data: files.map((file) => file.bytes), type: 'BYTE_ARRAY' }, { name: 'label', data: files.map(({ name }) => (name.startsWith('above') ? 0 : 1)), type: 'INT32' }],
    kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features: { label: { names: ['above', 'below'], _type: 'ClassLabel' } } } }) }],
  }));
  const forms = {
    folder: asFolder('data', files), zip: bytes(zipFiles(files), 'data.zip'), 'zip with a folder around': bytes(zipSync(Object.fromEntries(files.map(({ name, bytes: b }) => [`pictures/${name}`, b]))) as Uint8Array<ArrayBuffer>, 'data.zip'),
    'folder with a list': asFolder('data', [...files, { name: 'labels.csv', bytes: list }]), parquet: bytes(parquet, 'data.parquet'),
  };
  test.each(Object.entries(forms))('%s gives the same split, batches and hash', async (_, file) => {
    const data = await arrangePictures(await preparePictures(file, 'label', how), null, classes, null, options);
    expect(data.summary).toMatchObject({ format: 'pictures', rows: 20, trainRows: 16, validationRows: 4, tokensHash: '732ec1c9a9380631527a81fee5b6a1a608c078c07ad332b57ab4640077eae36e' });
    const batch = data.batch(3);
    expect(createHash('sha256').update(new Uint8Array(batch.pixel_values!.buffer)).digest('hex').slice(0, 8)).toBe('a66a4239');
  });
});

test('the built-in set is what its card says, a hundred pictures of ten classes', async () => {
  const at = (name: string) => readFileSync(fileURLToPath(new URL(`../../../public/data/fashion-negative/${name}`, import.meta.url)));
  const content = new Uint8Array(at('data.zip'));
  expect(JSON.parse(at('card.json').toString())).toMatchObject({ format: 'pictures', rows: 1000, bytes: content.length });
  const { rows } = await readPictures({ name: 'data.zip', content }, 'label');
  const counts = new Map<string, number>();
  for (const { label } of rows) counts.set(label as string, (counts.get(label as string) ?? 0) + 1);
  expect([...counts.values()]).toEqual(new Array(10).fill(100));
});

describe('a data set', () => {
  test('keeps equal pictures on one side, reports near ones, and counts classes', async () => {
    const files = halves(20);
    const twin = { name: 'above/twin.png', bytes: files[0]!.bytes };
    const near = { name: 'above/near.png', bytes: png(8, (x, y) => (y < 4 ? 201 : 21) + ((x * 7 + y * 3) % 40)) };
    const prepared = await preparePictures(asFolder('data', [...files, twin, near]), 'label', how);
    for (const seed of [1, 2, 3, 4, 5]) {
      const data = await arrangePictures(prepared, null, classes, null, { ...options, seed, test: 0.2 });
      const { summary } = data;
      expect(summary.trainRows + summary.validationRows + summary.testRows).toBe(42);
      expect(summary.warnings.join()).toMatch(/1 of 42 pictures repeat another pixel by pixel/);
      expect(summary.classes!.reduce((sum, c) => sum + c.train + c.validation + c.test, 0)).toBe(42);
      const rows = [...data.validation(), ...data.test()].flatMap((batch) => [...batch.labels]).filter((label) => label >= 0);
      expect(rows).toHaveLength(summary.validationRows + summary.testRows);
    }
  });

  test('a batch is a function of the step, and an epoch shows every picture once', async () => {
    const data = await arrangePictures(await preparePictures(asFolder('data', halves(10)), 'label', how), null, classes, null, { ...options, holdout: 0.2 });
    const [again, first] = [data.batch(2), data.batch(2)];
    expect(again).toEqual(first);
    const seen = new Set([0, 1, 2, 3].flatMap((step) => Array.from({ length: 4 }, (_, b) => data.batch(step).pixel_values!.subarray(b * 192, (b + 1) * 192).join())));
    expect(seen.size).toBe(16);
    expect(data.shown!(0).picture).toMatchObject({ width: 8, height: 8 });
    expect(data.shown!(0).name).toMatch(/^(above|below)\/\d+\.png$/);
  });

  test('a label that the classes lack, and a template without a place for the name, are refused', async () => {
    const prepared = await preparePictures(asFolder('data', halves(5)), 'label', how);
    await expect(arrangePictures(prepared, null, { kind: 'image-classification', labels: ['above', 'beside'] }, null, options)).rejects.toThrow(/the label "below" is none of the classes: above, beside/);
    await expect(arrangePictures(prepared, null, { kind: 'image-text', labels: ['above', 'below'], template: 'a photo' }, null, options)).rejects.toThrow(/no place for their names: "a photo"/);
  });
});
