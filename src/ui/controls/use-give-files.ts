// What happens to files wherever they are dropped: an adapter's folder is explored, another folder becomes the model, a file the data.
import { useCallback } from 'react';
import { useApp } from '../context';
import type { Given } from './files';

export function useGiveFiles(): (given: Given) => void {
  const { ask, edit, explore, store } = useApp();
  return useCallback(
    (given: Given) => {
      if (given.kind === 'nothing') return;
      if (given.kind === 'folder' && given.files.some(({ name }) => /(^|\/)adapter_config\.json$/.test(name))) {
        edit.open('explore');
        void explore.open({ kind: 'files', name: given.name, files: given.files }, { name: given.name, step: 0, prompt: store.getState().project.draft.sample.prompt });
        return;
      }
      edit.open('build');
      if (given.kind === 'folder') ask.giveFolder(given.name, given.files);
      else void given.file.text().then((text) => ask.giveText(given.file.name, text));
    },
    [ask, edit, explore, store],
  );
}
