// What is known of a data set before training: its rows as they are, its split, padding, classes, and what both sides share.
import type { DataCard } from '../../store/contract';
import { useApp, useStudio } from '../context';
import { FieldControl } from '../controls/FieldControl';
import { count } from '../format';
import { strings } from '../strings';

const words = strings.sources;
const HOLDOUT = { kind: 'float', label: strings.build.holdoutShare, help: strings.build.holdoutHelp, default: 0.1, min: 0, max: 0.5 } as const;
const TEST = { kind: 'float', label: words.test, help: words.testHelp, default: 0, min: 0, max: 0.5 } as const;
const PACK = { kind: 'bool', label: words.packing, help: words.packingHelp, default: false } as const;
const MOST_CLASSES = 12;
const MOST_COLUMNS = 6;

const share = (value: number) => `${value > 0 && value < 0.01 ? (100 * value).toPrecision(1) : (100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;

export function RawRows({ card }: { card: DataCard }) {
  const used = Object.values(card.used);
  const shown = card.columns.map((name, i) => ({ name, i })).sort((a, b) => Number(used.includes(b.name)) - Number(used.includes(a.name))).slice(0, MOST_COLUMNS);
  return (
    <>
      <div className="sub"><h3>{words.rows}</h3><span className="hint">{words.forms[card.form]}</span></div>
      <div className="scroll">
        <table className="tbl raw-rows" data-testid="raw-rows">
          <thead><tr>{shown.map(({ name }) => <th key={name} className={used.includes(name) ? 'strong' : ''}>{name}</th>)}</tr></thead>
          <tbody>
            {/* biome-ignore lint/suspicious/noArrayIndexKey: a row of the file is its place. */}
            {card.cells.slice(0, 3).map((row, r) => <tr key={r}>{shown.map(({ name, i }) => <td key={name} title={row[i]}>{row[i]}</td>)}</tr>)}
          </tbody>
        </table>
      </div>
    </>
  );
}

export function Split({ card }: { card: DataCard }) {
  const { edit } = useApp();
  const { holdout, test = 0 } = useStudio((state) => state.project.draft);
  return (
    <>
      <div className="sub"><h3>{strings.build.holdout}</h3><span className="hint">{strings.build.holdoutHint}</span></div>
      <FieldControl name="holdout" field={HOLDOUT} value={holdout} onChange={(value) => edit.holdout(Number(value))} />
      <FieldControl name="test" field={TEST} value={test} onChange={(value) => edit.test(Number(value))} />
      <p className="hint fs12" data-testid="split">{words.split(card.trainRows, card.validationRows, card.testRows)}</p>
      {card.near.count > 0 && (
        <>
          <div className="sub"><h3>{words.near}</h3></div>
          <ul className="near" data-testid="near">
            {card.near.examples.map((pair) => (
              <li key={pair.held}><span className="num hint">{words.nearPair(share(pair.similarity))}</span><p><span className="hint">{words.heldOut} </span>{pair.held}</p><p><span className="hint">{words.trained} </span>{pair.train}</p></li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

export function Packing({ card }: { card: DataCard }) {
  const { edit } = useApp();
  const on = useStudio((state) => state.project.draft.pack ?? false);
  const { rows, packedRows, padding, packedPadding } = card.packing;
  if (card.format === 'text' || rows === 0) return null;
  return (
    <>
      {card.cutTokens > 0 && <p className="hint fs12" data-testid="cut-share">{words.cutShare(share(card.cutTokens / card.tokens))}</p>}
      <FieldControl name="pack" field={PACK} value={on} onChange={(value) => edit.pack(value === true)} />
      <p className="hint fs12" data-testid="packing">{card.packing.on ? words.packed(rows, packedRows, share(packedPadding)) : words.unpacked(share(padding), rows, packedRows, share(packedPadding))}</p>
    </>
  );
}

export function Classes({ classes }: { classes: NonNullable<DataCard['classes']> }) {
  const most = Math.max(...classes.map(({ train }) => train), 1);
  return (
    <>
      <div className="sub"><h3>{words.classes}</h3><span className="hint">{words.classesHint}</span></div>
      <table className="tbl classes" data-testid="classes">
        <tbody>
          {classes.slice(0, MOST_CLASSES).map(({ label, train, validation, test }) => (
            <tr key={label}><td className="ell" title={label}>{label}</td><td className="bar-cell"><i style={{ width: `${(100 * train) / most}%` }} /></td><td className="r">{count(train)}</td><td className="r">{count(validation)}</td><td className="r">{count(test)}</td></tr>
          ))}
        </tbody>
      </table>
      {classes.length > MOST_CLASSES && <p className="hint fs12">{words.classesMore(classes.length - MOST_CLASSES)}</p>}
    </>
  );
}

export function Hash({ card }: { card: DataCard }) {
  return <dl className="kv hash"><div><dt title={card.pictures ? words.pixelsHelp : words.hashHelp}>{card.pictures ? words.pixels : words.hash}</dt><dd data-testid="tokens-hash" title={card.tokensHash}>{card.tokensHash}</dd></div></dl>;
}
