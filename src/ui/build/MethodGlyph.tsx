// A picture of what a family of methods trains: B left, A below, W the square that they fill. Filled accent: trained; outline: frozen.
import type { MethodCard } from '../../store/contract';

export function MethodGlyph({ family, size = 52 }: { family: MethodCard['family']; size?: number }) {
  return (
    <svg className="glyph" width={size} height={size} viewBox="0 0 52 52" aria-hidden="true">
      <rect x="15" y="3" width="34" height="30" fill="none" stroke="var(--text-3)" />
      <Inside family={family} />
      <Factors family={family} />
    </svg>
  );
}

/** What happens in W itself. */
function Inside({ family }: { family: MethodCard['family'] }) {
  switch (family) {
    case 'initialisation': return <path d="M22 9h20L32 27z" fill="none" stroke="var(--accent)" strokeWidth="1.5" />;
    case 'optimiser': return <path d="M20 9l22 18m-8-1 8 1-1-8" fill="none" stroke="var(--accent)" strokeWidth="1.5" />;
    case 'quantised': return <path d="M26.300 3v30M37.600 3v30M15 13h34M15 23h34" stroke="var(--text-3)" />;
    case 'routing': return <><rect x="15" y="3" width="17" height="15" fill="var(--accent)" opacity=".35" /><rect x="32" y="18" width="17" height="15" fill="var(--accent)" opacity=".6" /></>;
    default: return null;
  }
}

function Factors({ family }: { family: MethodCard['family'] }) {
  if (family === 'sparse') {
    // Strips that may be closed: filled is kept, hollow is closed.
    return (
      <>
        {[0, 4, 8].map((at) => <rect key={`b${at}`} x={3 + at} y="3" width="2.600" height="30" fill={at < 8 ? 'var(--accent)' : 'none'} stroke="var(--accent)" strokeWidth={at < 8 ? 0 : 0.8} />)}
        {[0, 4, 8].map((at) => <rect key={`a${at}`} x="15" y={37 + at} width="34" height="2.600" fill={at < 8 ? 'var(--accent)' : 'none'} stroke="var(--accent)" strokeWidth={at < 8 ? 0 : 0.8} />)}
        {[0, 4, 8].map((at) => <circle key={`g${at}`} cx={4.5 + at} cy={38.5 + at} r="1.500" fill={at < 8 ? 'var(--accent)' : 'none'} stroke="var(--accent)" strokeWidth="0.8" />)}
      </>
    );
  }
  return <><rect x="3" y="3" width="9" height="30" fill="var(--accent)" /><rect x="15" y="37" width="34" height="9" fill="var(--accent)" /></>;
}
