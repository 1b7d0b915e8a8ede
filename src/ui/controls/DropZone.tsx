// A place for files: dropped, or chosen with the keyboard.
import { type DragEvent, type ReactNode, useRef, useState } from 'react';
import { strings } from '../strings';
import { fromDrop, fromFiles, type Given } from './files';

export function DropZone({ children, label, folder = false, accept, testid, inputTestid, onFiles }: {
  children: ReactNode; label: string; folder?: boolean; accept?: string; testid: string; inputTestid: string; onFiles: (given: Given) => void;
}) {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    event.stopPropagation();
    setOver(false);
    void fromDrop(event.dataTransfer).then(onFiles);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is a second way; the button inside is the first.
    <div
      className={over ? 'drop over' : 'drop'} data-testid={testid} onDrop={onDrop} onDragLeave={() => setOver(false)}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
    >
      <p>{children}</p>
      <button type="button" className="btn" onClick={() => input.current?.click()}>{strings.common.browse}</button>
      <input
        ref={input} type="file" className="vh" tabIndex={-1} aria-label={label} data-testid={inputTestid} accept={accept} multiple={folder}
        {...(folder ? { webkitdirectory: '' } : {})}
        onChange={(event) => {
          onFiles(fromFiles([...(event.target.files ?? [])]));
          // The same file again must be a change too.
          event.target.value = '';
        }}
      />
    </div>
  );
}
