// What happens to files wherever they are dropped: a folder becomes the model, or an adapter on it, which Explore opens where it stands open;
// a file becomes the data, a saved setup the setup.
import { useCallback } from 'react';
import { toast } from 'sonner';
import { useApp } from '../context';
import { strings } from '../strings';
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
      else if (given.kind === 'folder' && !has('config.json') && given.files.some(({ name }) => PICTURE.test(name))) ask.giveFile(given.name, given.files);
      else if (given.kind === 'folder') ask.giveFolder(given.name, given.files);
      else
        void setupIn(given.file).then((setup) => {
          if (setup === undefined) return ask.giveFile(given.file.name, given.file);
          const failure = ask.giveConfig(setup);
          if (failure) toast.error(strings.build.configWrong(given.file.name), { description: failure.message });
          else toast(strings.build.configRead(given.file.name));
        });
    },
    [ask, edit, explore, store],
  );
}

const PICTURE = /\.(png|jpe?g|webp|gif|bmp|avif)$/i;
/** No setup is larger, in bytes; data may be far too large to be read here. */
const LARGEST_SETUP = 1_000_000;

/** The setup that a .json file holds; undefined where it is something else, such as data. */
async function setupIn(file: File): Promise<unknown> {
  if (!file.name.endsWith('.json') || file.size > LARGEST_SETUP) return undefined;
  try {
    const json = JSON.parse(await file.text()) as { version?: unknown; method?: unknown; training?: unknown; config?: unknown } | null;
    // run.json of the command line carries the same setup one level down.
    const setup = json && typeof json === 'object' && 'config' in json ? (json.config as typeof json) : json;
    return setup && typeof setup === 'object' && 'method' in setup && 'training' in setup ? setup : undefined;
  } catch {
    return undefined;
  }
}
