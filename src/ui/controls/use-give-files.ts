// What happens to files wherever they are dropped: a folder becomes the model, a file the data, a saved setup the setup.
import { useCallback } from 'react';
import { toast } from 'sonner';
import { useApp } from '../context';
import { strings } from '../strings';
import type { Given } from './files';

export function useGiveFiles(): (given: Given) => void {
  const { ask, edit } = useApp();
  return useCallback(
    (given: Given) => {
      if (given.kind === 'nothing') return;
      edit.open('build');
      if (given.kind === 'folder') ask.giveFolder(given.name, given.files);
      else
        void given.file.text().then((text) => {
          const setup = setupIn(given.file.name, text);
          if (setup === undefined) return ask.giveText(given.file.name, text);
          const failure = ask.giveConfig(setup);
          if (failure) toast.error(strings.build.configWrong(given.file.name), { description: failure.message });
          else toast(strings.build.configRead(given.file.name));
        });
    },
    [ask, edit],
  );
}

/** The setup that a .json file holds; undefined where it is something else, such as data. */
function setupIn(name: string, text: string): unknown {
  if (!name.endsWith('.json')) return undefined;
  try {
    const json = JSON.parse(text) as { version?: unknown; method?: unknown; training?: unknown; config?: unknown } | null;
    // run.json of the command line carries the same setup one level down.
    const setup = json && typeof json === 'object' && 'config' in json ? (json.config as typeof json) : json;
    return setup && typeof setup === 'object' && 'method' in setup && 'training' in setup ? setup : undefined;
  } catch {
    return undefined;
  }
}
