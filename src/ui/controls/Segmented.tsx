// One of a few, all seen at once. Arrow keys move, as in any radio group.
import { ToggleGroup } from 'radix-ui';

export interface Segment { value: string; label: string; testid?: string; disabled?: boolean; title?: string }

export function Segmented({ label, value, options, onChange, full = false }: {
  label: string; value: string; options: readonly Segment[]; onChange: (value: string) => void; full?: boolean;
}) {
  return (
    <ToggleGroup.Root type="single" className={full ? 'seg full' : 'seg'} aria-label={label} value={value} onValueChange={(next) => next && onChange(next)}>
      {options.map((option) => (
        <ToggleGroup.Item key={option.value} value={option.value} disabled={option.disabled ?? false} data-testid={option.testid} title={option.title}>
          {option.label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  );
}
