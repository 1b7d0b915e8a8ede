// Beside the curve: the adapter's strength, texts, the rows that the cut hurts, budgets, and another adapter's directions.
import { Slider, Tabs } from 'radix-ui';
import { useApp } from '../context';
import { strings } from '../strings';
import { Budget } from './Budget';
import { Overlap } from './Overlap';
import { RowsHurt } from './RowsHurt';
import { Texts } from './Texts';
import { useExplore } from './use-explore';

const words = strings.explore;
const [LOW, HIGH] = [-1, 2];

export function SidePane() {
  return (
    <aside className="pane side-pane" aria-label={words.side}>
      <Strength />
      <Tabs.Root defaultValue="texts" className="tabs-root">
        <Tabs.List className="tabs" aria-label={words.side}>
          {(['texts', 'rows', 'budget', 'overlap'] as const).map((tab) => <Tabs.Trigger key={tab} value={tab} data-testid={`side-${tab}`}>{words.sideTabs[tab]}</Tabs.Trigger>)}
        </Tabs.List>
        <Tabs.Content value="texts" className="tabs-page scroll"><Texts /></Tabs.Content>
        <Tabs.Content value="rows" className="tabs-page scroll"><RowsHurt /></Tabs.Content>
        <Tabs.Content value="budget" className="tabs-page scroll"><Budget /></Tabs.Content>
        <Tabs.Content value="overlap" className="tabs-page scroll"><Overlap /></Tabs.Content>
      </Tabs.Root>
    </aside>
  );
}

function Strength() {
  const { explore } = useApp();
  const strength = useExplore((state) => state.strength);
  return (
    <>
      <div className="ph"><h2>{words.strength}</h2><span className="meta">W + s · ΔW</span><span className="end num fs12" data-testid="strength-value">s = {strength.toFixed(2)}</span></div>
      <div className="pb strength">
        {/* biome-ignore lint/a11y/noStaticElementInteractions: a shortcut; the arrow keys reach the same value. */}
        <span className="tick" style={{ '--d': (1 - LOW) / (HIGH - LOW) } as React.CSSProperties} onDoubleClick={() => explore.strength(1)}>
          <Slider.Root className="slider" min={LOW} max={HIGH} step={0.05} value={[strength]} onValueChange={([next = 1]) => explore.strength(Number(next.toFixed(2)))}>
            <Slider.Track className="slider-track"><Slider.Range className="slider-range" /></Slider.Track>
            <Slider.Thumb className="slider-thumb" aria-label={words.strength} data-testid="strength" />
          </Slider.Root>
        </span>
        <div className="strength-marks fs11 hint" aria-hidden="true"><span>−1</span><span>{words.strengthBase}</span><span>{words.strengthTrained}</span><span>2</span></div>
      </div>
      <div className="rule" />
    </>
  );
}
