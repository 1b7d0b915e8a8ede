// Words about trying a model out on one's own input, apart from strings.ts so that they come with the code that shows them.
export const tryoutStrings = {
  base: 'Before training',
  ofRun: (name: string, step: number) => `${name}, step ${step.toLocaleString('en')}`,
  noRun: 'Runs on this model join in once there are some.',
  answers: 'What it makes of it',
  failed: 'There is no answer.',
  textTitle: 'A text of your own',
  text: 'Text',
  reading: 'Reading',
  rank: '#',
  match: 'Match',
  share: 'Share',
  cosine: 'Cosine',
  further: (count: number) => `${count} more stand behind.`,
  sorting: { action: 'Sort', second: 'Second text', placeholder: 'Type a text to be sorted', waiting: 'Type a text, then sort it.', hint: 'probabilities of the classes' },
  filling: {
    action: 'Fill in', second: 'Second text', placeholder: 'Type a text with [MASK] (RoBERTa: <mask>) where a word is to be filled in',
    waiting: 'Type a text with a hidden word, then fill it in.', hint: 'probabilities of words for the first hidden one',
  },
  tagging: { action: 'Tag', second: '', placeholder: 'Type a text whose words are to be tagged', waiting: 'Type a text, then tag it.', hint: 'the likeliest tag of each word' },
  matching: {
    action: 'Match', second: 'Texts to choose from, each on a line', placeholder: 'Type a text to be matched',
    waiting: 'Type a text and some to choose from, then match it.', hint: 'ranked by cosine, with the probability to belong to it',
  },
  stays: 'It stays in this browser.',
} as const;
