// Token colours as a canvas needs them: resolved once a theme.

export interface Palette { [token: string]: string }

const TOKENS = [
  'pane', 'inset', 'line', 'line-2', 'grid', 'text', 'text-2', 'text-3', 'accent', 'base', 'warn', 'danger', 'heat-lo', 'heat-hi', 'heat-text', 'heat-ink', 'heat-flip',
  's-1', 's-2', 's-3', 's-4', 's-5', 's-6', 's-7', 's-8',
];

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(TOKENS.map((token) => [token, style.getPropertyValue(`--${token}`).trim()]));
}

/** `#46cdb9` at 26 %: canvas lines that are lighter than their token. */
export const faded = (hex: string, share: number) => `${hex}${Math.round(share * 255).toString(16).padStart(2, '0')}`;
