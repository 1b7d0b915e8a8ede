// Which column of the table is what. A choice counts once it says something whole; until then the page says what is missing.
import { ArrowRight } from 'lucide-react';
import { useEffect, useState } from 'react';
import { type Columns, readsPictures } from '../../store/contract';
import { useApp, useStudio } from '../context';
import { Icon } from '../controls/Icon';
import { SelectBox } from '../controls/SelectBox';
import { strings } from '../strings';
import { missingRole, type Role, withRole } from './columns';

const words = strings.sources;
const TEXT_ROLES = ['none', 'text', 'second', 'label', 'prompt', 'context', 'completion', 'system', 'messages', 'score', 'tokens', 'tags'] as const;
const PICTURE_ROLES = ['none', 'image', 'label', 'caption'] as const;
/** A table may have hundreds of columns; those in use are always among the ones shown. */
const SHOWN = 12;

export function ColumnsMap({ columns, used }: { columns: readonly string[]; used: Columns }) {
  const { edit } = useApp();
  const chosen = useStudio((state) => state.project.draft.columns);
  const roles: readonly (Role | 'none')[] = useStudio((state) => readsPictures(state.project.model.card?.kind ?? '')) ? PICTURE_ROLES : TEXT_ROLES;
  const pairs = useStudio((state) => state.project.draft.task === 'sentence-embedding');
  const [draft, setDraft] = useState<Columns>(used);
  // biome-ignore lint/correctness/useExhaustiveDependencies: an equal mapping in a new object is no change.
  useEffect(() => setDraft(used), [JSON.stringify(used)]);
  const roleOf = (column: string) => (Object.keys(draft) as Role[]).find((role) => draft[role] === column) ?? 'none';
  const choose = (column: string, role: string) => {
    const next = withRole(draft, column, role === 'none' ? null : (role as Role));
    setDraft(next);
    if (missingRole(next, pairs) === null) edit.columns(next);
  };
  const missing = missingRole(draft, pairs);
  const shown = [...columns].sort((a, b) => Number(roleOf(b) !== 'none') - Number(roleOf(a) !== 'none')).slice(0, SHOWN);
  return (
    <section data-testid="columns">
      <div className="sub"><h3>{words.columns}</h3><span className="hint">{chosen ? words.columnsChosen : words.columnsByName}</span>
        {chosen && <span className="end"><button type="button" className="btn ghost" onClick={() => edit.columns({})}>{words.columnsReset}</button></span>}
      </div>
      <div className="columns-map">
        {shown.map((column) => {
          const role = roleOf(column);
          return (
            <div key={column} className={role === 'completion' || role === 'label' || role === 'tags' || role === 'text' || role === 'messages' ? 'learned' : role === 'none' ? 'unused' : ''}>
              <span className="mono ell" title={column}>{column}</span>
              <Icon of={ArrowRight} size={13} />
              <SelectBox label={column} value={role} options={roles.map((value) => ({ value, label: words.roles[value] }))} testid={`column-${column}`} onChange={(next) => choose(column, next)} />
            </div>
          );
        })}
      </div>
      {missing && <p className="hint fs12">{words.columnsMissing(words.roles[missing])}</p>}
    </section>
  );
}
