// Words about pictures, apart from strings.ts so that they come with the code that shows them.
export const pictureStrings = {
  preview: 'Training pictures',
  previewHint: (size: number, channels: number) => `as the model reads them: ${size} × ${size}, ${channels === 1 ? 'grey' : 'in colour'}`,
  tryTitle: 'A picture of your own',
  tryHint: 'It stays in this browser.',
  tryDrop: 'Drop a picture here, or',
  tryFile: 'Picture file',
  texts: 'Texts to hold it against, one a line',
  textsHint: 'Empty: the classes of the data.',
  look: 'Look',
  looking: 'Looking',
  answersHint: 'probabilities; the picture as the model reads it',
  waiting: 'Choose a picture, then look.',
} as const;
