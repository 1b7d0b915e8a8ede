// A PEFT adapter out of files, for the model and data that are loaded.
import { FolderOpen } from 'lucide-react';
import { useRef } from 'react';
import type { NamedFile } from '../../store/contract';
import { useApp, useStudio } from '../context';
import { fromFiles } from '../controls/files';
import { Icon } from '../controls/Icon';
import { strings } from '../strings';

const words = strings.explore;

/** A folder that was chosen, by its name. */
export function folderOf(files: readonly File[]): { name: string; files: NamedFile[] } | null {
  const given = fromFiles(files);
  if (given.kind === 'nothing') return null;
  return given.kind === 'folder' ? { name: given.name, files: given.files } : { name: given.file.name, files: [{ name: given.file.name, file: given.file }] };
}

export function OpenFiles() {
  const { explore, store } = useApp();
  const input = useRef<HTMLInputElement>(null);
  const ready = useStudio((state) => state.project.model.status === 'ready' && state.project.data.status === 'ready');
  const open = (files: readonly File[]) => {
    const folder = folderOf(files);
    if (folder) void explore.open({ kind: 'files', ...folder }, { name: folder.name, step: 0, prompt: store.getState().project.draft.sample.prompt });
  };
  return (
    <>
      <button type="button" className="btn" disabled={!ready} title={words.openFilesHint} onClick={() => input.current?.click()}><Icon of={FolderOpen} size={14} />{words.openFiles}</button>
      <input
        ref={input} type="file" className="vh" tabIndex={-1} multiple {...{ webkitdirectory: '' }} aria-label={words.openFilesHint} data-testid="adapter-files"
        onChange={(event) => {
          open([...(event.target.files ?? [])]);
          event.target.value = '';
        }}
      />
    </>
  );
}
