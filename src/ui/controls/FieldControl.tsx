// The control of one declared field: the page draws any method's settings, and its own, from their declarations alone.
import { Slider, Switch } from 'radix-ui';
import { useId, useState } from 'react';
import type { Field, FieldValue } from '../../store/contract';
import { setting } from '../format';
import { strings } from '../strings';
import { NumberBox } from './NumberBox';
import { SelectBox } from './SelectBox';
import { scaleOf } from './scale';
import { Tip } from './Tip';

interface Props {
  name: string;
  field: Field;
  value: FieldValue;
  onChange: (value: FieldValue) => void;
  /** Value that counts as unchanged; the field's default unless a preset says otherwise. */
  usual?: FieldValue;
  disabled?: boolean;
}

export function FieldControl(props: Props) {
  const { field, name, value, usual = field.default } = props;
  const changed = value !== usual;
  const [listOpen, setListOpen] = useState(false);
  return (
    <Tip side="left" silent={listOpen} content={<FieldHelp field={field} usual={usual} changed={changed} />}>
      <div className={field.kind === 'int' || field.kind === 'float' ? 'field' : 'field wide'} data-testid={`field-${name}`}>
        <Control {...props} changed={changed} onList={setListOpen} />
      </div>
    </Tip>
  );
}

function Control({ name, field, value, onChange, usual = field.default, disabled, changed, onList }: Props & { changed: boolean; onList: (open: boolean) => void }) {
  const id = useId();
  switch (field.kind) {
    case 'bool':
      return (
        <>
          <label htmlFor={id}>{field.label}</label>
          <Switch.Root id={id} className={changed ? 'switch changed' : 'switch'} checked={value === true} disabled={disabled ?? false} onCheckedChange={onChange}>
            <Switch.Thumb className="switch-thumb" />
          </Switch.Root>
        </>
      );
    case 'choice':
      return (
        <>
          <span className="lab">{field.label}</span>
          <SelectBox label={field.label} value={String(value)} options={field.options} changed={changed} disabled={disabled ?? false} onChange={onChange} onOpen={onList} />
        </>
      );
    default: {
      const scale = scaleOf(field);
      const number = Number(value);
      const at = scale.position(number);
      const usualAt = (scale.position(Number(usual)) - scale.min) / (scale.max - scale.min);
      return (
        <>
          <span className="lab">{field.label}</span>
          {/* A double click anywhere on the track returns to the tick; the tick stands for the value that is usual. */}
          {/* biome-ignore lint/a11y/noStaticElementInteractions: a shortcut; the box takes the same value from the keyboard. */}
          <span className="tick" style={{ '--d': usualAt } as React.CSSProperties} onDoubleClick={() => onChange(usual)}>
            <Slider.Root
              className="slider" min={scale.min} max={scale.max} step={scale.step} value={[at]} disabled={disabled ?? false}
              onValueChange={([position = at]) => onChange(position === at ? number : stepped(scale, number, at, position))}
            >
              <Slider.Track className="slider-track"><Slider.Range className="slider-range" /></Slider.Track>
              <Slider.Thumb className="slider-thumb" aria-label={field.label} aria-valuetext={setting(number)} />
            </Slider.Root>
          </span>
          <NumberBox
            label={field.label} value={number} min={field.min} max={field.max} integer={field.kind === 'int'} changed={changed} disabled={disabled}
            step={(from, by) => scale.next(from, by)} onChange={onChange} testid={`box-${name}`}
          />
        </>
      );
    }
  }
}

/** One key press must move a whole number, also where the logarithmic scale is finer than whole numbers. */
function stepped(scale: ReturnType<typeof scaleOf>, value: number, from: number, to: number): number {
  const next = scale.value(to);
  return next === value && Math.abs(to - from) >= scale.step / 2 ? scale.next(value, Math.sign(to - from)) : next;
}

function FieldHelp({ field, usual, changed }: { field: Field; usual: FieldValue; changed: boolean }) {
  return (
    <>
      <b>{field.label}</b>
      <p>{field.help}</p>
      {(field.kind === 'int' || field.kind === 'float') && (
        <p className="num hint">{strings.field.range(setting(field.min), setting(field.max), field.log === true)}</p>
      )}
      {field.source && <p className="hint">{strings.field.source(typeof field.default === 'number' ? setting(field.default) : String(field.default), field.source)}</p>}
      {changed && <p className="strong">{strings.field.changed(typeof usual === 'number' ? setting(usual) : String(usual))}</p>}
    </>
  );
}
