// A text as a file of the browser's downloads.
export function saveFile(name: string, content: string, type = 'application/json'): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The download has begun by then; the browser holds the bytes itself.
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
