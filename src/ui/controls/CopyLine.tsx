// A line to copy: an address, a command.
import { Check, Copy, type LucideIcon } from 'lucide-react';
import { useEffect, useState } from 'react';
import { strings } from '../strings';
import { Icon } from './Icon';

export function CopyButton({ text, label = strings.common.copy, className = 'btn ghost', icon = Copy }: { text: string; label?: string; className?: string; icon?: LucideIcon }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1600);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return (
    <button type="button" className={className} onClick={copy}>
      <Icon of={copied ? Check : icon} size={13} />
      {copied ? strings.common.copied : label}
    </button>
  );
}

export function CopyLine({ text }: { text: string }) {
  return (
    <div className="copy-line">
      <span className="grow ell">{text}</span>
      <CopyButton text={text} />
    </div>
  );
}
