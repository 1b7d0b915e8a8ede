// A choice among named values, in a list that opens.
import { Check, ChevronDown } from 'lucide-react';
import { Select } from 'radix-ui';
import { Icon } from './Icon';

export function SelectBox({ label, value, options, onChange, changed = false, testid, disabled = false, onOpen }: {
  label: string; value: string; options: readonly { value: string; label: string }[]; onChange: (value: string) => void; changed?: boolean; testid?: string; disabled?: boolean; onOpen?: (open: boolean) => void;
}) {
  return (
    <Select.Root value={value} onValueChange={onChange} disabled={disabled} {...(onOpen ? { onOpenChange: onOpen } : {})}>
      <Select.Trigger className={changed ? 'select changed' : 'select'} aria-label={label} data-testid={testid}>
        <span className="ell"><Select.Value /></span>
        <Select.Icon><Icon of={ChevronDown} size={14} /></Select.Icon>
      </Select.Trigger>
      <Select.Portal>
        <Select.Content className="select-list" position="popper" sideOffset={4} collisionPadding={8}>
          <Select.Viewport>
            {options.map((option) => (
              <Select.Item key={option.value} value={option.value} className="select-item">
                <Select.ItemText>{option.label}</Select.ItemText>
                <Select.ItemIndicator><Icon of={Check} size={13} /></Select.ItemIndicator>
              </Select.Item>
            ))}
          </Select.Viewport>
        </Select.Content>
      </Select.Portal>
    </Select.Root>
  );
}
