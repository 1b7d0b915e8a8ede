// Every method of the studio. Registration is one line, and it validates.
import type { Method } from '../training/contract';
import { resolveFields } from '../training/fields';
import { ConfigError } from '../util/errors';
import { adalora } from './adalora';
import { bitfit } from './bitfit';
import { dora } from './dora';
import { full } from './full';
import { loldu } from './loldu';
import { dylora } from './dylora';
import { hydra } from './hydra';
import { lamda } from './lamda';
import { lora } from './lora';
import { loraGa } from './lora-ga';
import { loraPlus } from './lora-plus';
import { loraPro } from './lora-pro';
import { nlora } from './nlora';
import { pissa } from './pissa';
import { rslora } from './rslora';
import { salt } from './salt';
import { mos } from './mos';
import { sora } from './sora';
import { triadaptlora } from './triadaptlora';
import { vera } from './vera';

const registered = [lora, loraPlus, rslora, pissa, dora, vera, adalora, bitfit, full, sora, loraGa, loldu, nlora, salt, loraPro, hydra, dylora, mos, lamda, triadaptlora] as unknown as readonly Method[];

export const methods: ReadonlyMap<string, Method> = new Map(registered.map((method) => [validated(method).info.slug, method]));

export function methodFor(slug: string): Method {
  const found = methods.get(slug);
  if (!found) throw new ConfigError(`there is no method '${slug}'`, `The methods are: ${[...methods.keys()].join(', ')}.`);
  return found;
}

function validated(method: Method): Method {
  const { slug, goodFor, fields, series, views } = method.info;
  if (!/^[a-z0-9-]+$/.test(slug)) throw new ConfigError(`method '${slug}': a slug has only lower-case letters, digits and dashes`);
  if (!/^[^A-Z].*\.$/.test(goodFor)) throw new ConfigError(`method ${slug}: goodFor does not go on from "Good for": '${goodFor}'`, 'Begin with a small letter and end with a stop.');
  resolveFields(`method ${slug}: defaults`, fields, Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.default])));
  for (const ids of [series.map((s) => s.id), views.map((v) => v.id)]) {
    if (new Set(ids).size !== ids.length) throw new ConfigError(`method ${slug}: an id of a series or view stands twice`);
  }
  if (views.length > 0 && !method.views) throw new ConfigError(`method ${slug}: names views but has no hook for them`);
  return method;
}
