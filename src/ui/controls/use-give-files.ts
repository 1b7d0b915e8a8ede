// What happens to files wherever they are dropped: a folder becomes the model, or an adapter on it, which Explore opens where it stands open;
// a file becomes the data.
import { useCallback } from 'react';
import { useApp } from '../context';
import type { Given } from './files';

export function useGiveFiles(): (given: Given) => void {
  const { ask, edit, explore, store } = useApp();
  return useCallback(
    (given: Given) => {
      if (given.kind === 'nothing') return;
      const { layout, project } = store.getState();
      const isAdapter = given.kind === 'folder' && given.files.some(({ name }) => /(^|\/)adapter_config\.json$/.test(name));
      if (given.kind === 'folder' && isAdapter && layout.panel === 'explore') {
        void explore.open({ kind: 'files', name: given.name, files: given.files }, { name: given.name, step: 0, prompt: project.draft.sample.prompt });
        return;
      }
      edit.open('build');
      const has = (name: string) => given.kind === 'folder' && given.files.some((file) => file.name === name || file.name.endsWith(`/${name}`));
      if (given.kind === 'folder' && has('adapter_config.json') && !has('config.json')) void ask.addAdapter(given.name, given.files);
      else if (given.kind === 'folder') ask.giveFolder(given.name, given.files);
      else ask.giveFile(given.file.name, given.file);
    },
    [ask, edit, explore, store],
  );
}
