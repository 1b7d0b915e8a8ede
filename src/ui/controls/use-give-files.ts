// What happens to files wherever they are dropped: a folder becomes the model, a file becomes the data.
import { useCallback } from 'react';
import { useApp } from '../context';
import type { Given } from './files';

export function useGiveFiles(): (given: Given) => void {
  const { ask, edit } = useApp();
  return useCallback(
    (given: Given) => {
      if (given.kind === 'nothing') return;
      edit.open('build');
      if (given.kind === 'folder') ask.giveFolder(given.name, given.files);
      else void given.file.text().then((text) => ask.giveText(given.file.name, text));
    },
    [ask, edit],
  );
}
