// Some of the training pictures, each with its label or caption.
import type { DataCard } from '../../store/contract';
import { pictureStrings as words } from '../strings-pictures';
import { Thumb } from './Thumb';

export function PicturePreview({ pictures }: { pictures: NonNullable<DataCard['pictures']> }) {
  return (
    <>
      <div className="sub"><h3>{words.preview}</h3><span className="hint">{words.previewHint(pictures.size, pictures.channels)}</span></div>
      <ul className="picture-grid" data-testid="picture-preview">
        {pictures.preview.map(({ name = '', label, text, picture }) => picture && (
          <li key={name}><Thumb picture={picture} label={`${name}: ${label ?? text ?? ''}`} /><span className="ell fs11" title={label ?? text}>{label ?? text}</span></li>
        ))}
      </ul>
    </>
  );
}
