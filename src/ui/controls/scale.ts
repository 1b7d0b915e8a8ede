// How a slider's positions map to a field's values: logarithmic where the field says so, round numbers on the way.
import type { Field } from '../../store/contract';

type NumberField = Extract<Field, { kind: 'int' | 'float' }>;

export interface Scale {
  min: number;
  max: number;
  step: number;
  position(value: number): number;
  value(position: number): number;
  /** The next value in a direction, at least one away. */
  next(value: number, by: number): number;
}

/** Positions of a logarithmic slider. */
const LOG_POSITIONS = 120;

export function scaleOf(field: NumberField): Scale {
  const clamp = (value: number) => Math.min(field.max, Math.max(field.min, value));
  if (field.log && field.min > 0) {
    const span = Math.log(field.max / field.min);
    const position = (value: number) => (Math.log(clamp(value) / field.min) / span) * LOG_POSITIONS;
    const value = (at: number) => {
      const raw = field.min * Math.exp((at / LOG_POSITIONS) * span);
      return clamp(field.kind === 'int' ? Math.round(roundTo(raw, 2)) : roundTo(raw, 2));
    };
    const next = (from: number, by: number) => {
      const to = value(Math.round(position(from)) + by);
      return field.kind === 'int' && to === from ? clamp(from + Math.sign(by)) : to;
    };
    return { min: 0, max: LOG_POSITIONS, step: 1, position, value, next };
  }
  const step = field.kind === 'int' ? Math.max(1, niceStep((field.max - field.min) / 200)) : niceStep((field.max - field.min) / 100);
  const value = (at: number) => clamp(field.kind === 'int' ? Math.round(at) : Number((Math.round(at / step) * step).toPrecision(10)));
  return { min: field.min, max: field.max, step, position: clamp, value, next: (from, by) => value(from + by * step) };
}

const roundTo = (value: number, digits: number) => Number(value.toPrecision(digits));

function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  return ([1, 2, 5, 10].find((m) => m * power >= raw * 0.999) ?? 10) * power;
}
