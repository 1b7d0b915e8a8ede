"""Amazon fine-food reviews, as many great ones as others, as FOLDER/train.csv (2,800) and FOLDER/test.csv (684), out of the Debian package
r-cran-modeldata (MIT; the reviews are their writers'), for trying classification of texts by hand; docs/testing.md has the commands.
usage: python scripts/food_reviews.py FOLDER      needs apt-get and dpkg (Debian, Ubuntu)"""
import csv, lzma, os, struct, subprocess, sys, tempfile, zlib


class Reader:
    """R's serialisation in XDR form, as far as data frames of texts and factors need it: attributed values are pairs (value, attributes)."""
    def __init__(self, data):
        if data[:2] != b'X\n':
            sys.exit('the R data are not in XDR form: the package has changed')
        self.data, self.at, self.seen = data, 2, []
        version = self.int()
        self.int(), self.int()
        if version == 3:
            self.text(self.int())                                    # the encoding

    def int(self):
        self.at += 4
        return struct.unpack_from('>i', self.data, self.at - 4)[0]

    def text(self, length):
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def item(self):
        flags = self.int()
        kind = flags & 255
        if kind in (241, 242, 247, 250, 251, 252, 253, 254):        # constants
            return None
        if kind == 255:                                              # seen before
            return self.seen[(flags >> 8 or self.int()) - 1]
        if kind == 1:                                                # a name
            self.seen.append(self.item())
            return self.seen[-1]
        if kind == 2:                                                # attributes: name, value, rest
            name, value = self.item(), self.item()
            return {name: value, **(self.item() or {})}
        if kind == 9:                                                # a text
            length = self.int()
            return None if length < 0 else self.text(length)
        length = self.int()
        if kind in (10, 13):                                         # whole numbers
            value = [self.int() for _ in range(length)]
        elif kind == 14:                                             # numbers
            value = list(struct.unpack_from(f'>{length}d', self.data, self.at))
            self.at += 8 * length
        elif kind in (16, 19):                                       # texts, a list
            value = [self.item() for _ in range(length)]
        else:
            sys.exit(f'R data of kind {kind} are not read: the package has changed')
        return (value, self.item()) if flags & 512 else value


def frame(folder, name):
    """A data frame of a lazy-load database, by column. An entry is its length, a mark of its compression, and the bytes."""
    with open(os.path.join(folder, 'Rdata.rdx'), 'rb') as file:
        (parts, names) = Reader(zlib.decompress(file.read(), 31)).item()
    places, keys = dict(zip(names['names'], parts))['variables']
    start, length = dict(zip(keys['names'], places))[name]
    with open(os.path.join(folder, 'Rdata.rdb'), 'rb') as file:
        file.seek(start)
        entry = file.read(length)
    if entry[4:5] != b'Z':
        sys.exit('the R data are not compressed by xz: the package has changed')
    columns, about = Reader(lzma.decompress(entry[5:], lzma.FORMAT_RAW, filters=[{'id': lzma.FILTER_LZMA2, 'dict_size': 1 << 26}])).item()
    return dict(zip(about['names'], columns))


if len(sys.argv) != 2:
    sys.exit(__doc__)
out = sys.argv[1]
os.makedirs(out, exist_ok=True)
with tempfile.TemporaryDirectory() as work:
    subprocess.run(['apt-get', 'download', 'r-cran-modeldata'], cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(['dpkg', '-x', *[name for name in os.listdir(work) if name.endswith('.deb')], 'package'], cwd=work, check=True)
    for part, name in (('train', 'training_data'), ('test', 'testing_data')):
        columns = frame(os.path.join(work, 'package/usr/lib/R/site-library/modeldata/data'), name)
        numbers, about = columns['score']
        great, other = ([(review, level) for review, number in zip(columns['review'], numbers) if about['levels'][number - 1] == level] for level in ('great', 'other'))
        rows = [row for pair in zip(great, other) for row in pair]
        with open(os.path.join(out, f'{part}.csv'), 'w', newline='') as file:
            csv.writer(file).writerows([('review', 'score'), *rows])
        print(f'{part}.csv  {len(rows)} reviews')
