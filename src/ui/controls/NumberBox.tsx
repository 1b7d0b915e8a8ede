// A box that takes any number in range: written on Enter or when left, stepped with the arrows, put back when it is no number.
import { type KeyboardEvent, useState } from 'react';
import { setting } from '../format';

export function NumberBox({ label, value, min, max, integer, step, changed, disabled, testid, onChange }: {
  label: string; value: number; min: number; max: number; integer: boolean; step: (value: number, by: number) => number;
  changed: boolean; disabled?: boolean | undefined; testid?: string | undefined; onChange: (value: number) => void;
}) {
  const [typed, setTyped] = useState<string | null>(null);
  const parsed = typed === null ? value : parse(typed, integer);
  const wrong = parsed === null || parsed < min || parsed > max;
  const commit = () => {
    if (typed !== null && parsed !== null) onChange(Math.min(max, Math.max(min, parsed)));
    setTyped(null);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter') commit();
    if (event.key === 'Escape') setTyped(null);
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      event.preventDefault();
      const by = (event.key === 'ArrowUp' ? 1 : -1) * (event.shiftKey ? 10 : 1);
      setTyped(null);
      onChange(Math.min(max, Math.max(min, step(parsed ?? value, by))));
    }
  };
  return (
    <input
      className={changed ? 'box changed' : 'box'} aria-label={label} aria-invalid={wrong} inputMode="decimal" autoComplete="off" spellCheck={false} disabled={disabled} data-testid={testid}
      value={typed ?? setting(value)} onChange={(event) => setTyped(event.target.value)} onBlur={commit} onKeyDown={onKeyDown} onFocus={(event) => event.target.select()}
    />
  );
}

function parse(text: string, integer: boolean): number | null {
  const value = Number(text.trim().replace(/\s|,(?=\d{3}\b)/g, ''));
  if (text.trim() === '' || !Number.isFinite(value)) return null;
  return integer ? Math.round(value) : value;
}
