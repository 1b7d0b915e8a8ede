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
  if (field.log) {
    // A logarithm never reaches zero: where the field does, the first position stands for it.
    const low = field.min > 0 ? field.min : field.kind === 'int' ? 1 : field.max * 1e-6;
    const span = Math.log(field.max / low);
    const position = (value: number) => (value < low ? 0 : (Math.log(clamp(value) / low) / span) * LOG_POSITIONS);
    const value = (at: number) => {
      if (at <= 0) return field.min;
      const raw = low * Math.exp((at / LOG_POSITIONS) * span);
      return clamp(field.kind === 'int' ? Math.round(roundTo(raw, 2)) : roundTo(raw, 2));
    };
    const next = (from: number, by: number) => {
      // Whole numbers lie further apart than positions at the low end: go on until the value moves.
      let at = Math.round(position(from)) + by;
      while (at > 0 && at < LOG_POSITIONS && (value(at) - from) * by <= 0) at += Math.sign(by);
      return value(Math.min(LOG_POSITIONS, Math.max(0, at)));
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
