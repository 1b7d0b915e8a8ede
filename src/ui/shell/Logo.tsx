// The mark: B stands left, A lies below, W is the square that they fill.
export function Logo() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <rect x="1" y="1" width="5" height="12" fill="var(--accent)" />
      <rect x="8" y="15" width="11" height="4" fill="var(--accent)" />
      <rect x="1" y="15" width="5" height="4" fill="var(--accent)" />
      <rect x="8.5" y="1.5" width="10" height="11" fill="none" stroke="var(--text-3)" />
    </svg>
  );
}
