// Key names as this platform writes them.
const apple = typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.userAgent);

export const platformKeys = (keys: string) => (apple ? keys : keys.replace('⌘', 'Ctrl '));
