// Every method that adapts encoders, through the same list of promises on a tiny BERT.
import { conform } from './testing/cases';
import { BERT } from './testing/tiny';

conform({ name: 'a tiny BERT', kind: 'encoder', config: BERT, changed: /(value|dense)\.weight/ });
