// How WebGPU is turned on, by browser. Versions and flags age: they stand in this one table, to be checked at each release.

export interface Step { title: string; text: string; copy?: readonly string[] }
export interface BrowserSteps { id: string; label: string; steps: readonly Step[]; note?: string }

export const SOFTWARE_FLAGS = '--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader';
const LINUX_FLAGS = '--enable-unsafe-webgpu --enable-features=Vulkan';

export const BROWSERS: readonly BrowserSteps[] = [
  {
    id: 'chrome-linux',
    label: 'Chrome, Edge on Linux',
    steps: [
      { title: 'Open the flags page and turn on two flags', text: 'Set “Unsafe WebGPU Support” and “Vulkan” to Enabled. Pages may not open chrome: addresses, so copy and paste them.', copy: ['chrome://flags/#enable-unsafe-webgpu', 'chrome://flags/#enable-vulkan'] },
      { title: 'Restart the browser', text: 'Press Relaunch at the bottom of that page. Closing one window is not enough. Or start it with:', copy: [`google-chrome ${LINUX_FLAGS}`] },
      { title: 'Check that the card is seen', text: 'Under “Graphics Feature Status”, WebGPU and Vulkan should read “Hardware accelerated” or “Enabled”.', copy: ['chrome://gpu'] },
      { title: 'No card, or none that works', text: 'The browser can compute WebGPU on the processor. Slow, but everything works:', copy: [`google-chrome ${SOFTWARE_FLAGS}`, `chromium ${SOFTWARE_FLAGS}`] },
    ],
    note: 'These flags are meant for testing: the first lifts Chrome’s list of blocked drivers for every page. Turn both off again when you are done, or use a browser profile made for this.',
  },
  {
    id: 'chrome',
    label: 'Chrome, Edge on Windows, macOS',
    steps: [
      { title: 'Update to version 113 or later', text: 'WebGPU is on from there.', copy: ['chrome://settings/help'] },
      { title: 'Turn on graphics acceleration', text: 'System, then “Use graphics acceleration when available”, then Relaunch.', copy: ['chrome://settings/system'] },
      { title: 'Check that the card is seen', text: 'WebGPU should read “Hardware accelerated”.', copy: ['chrome://gpu'] },
    ],
  },
  {
    id: 'firefox',
    label: 'Firefox',
    steps: [
      { title: 'Windows: Firefox 141 or later. Apple silicon: 145 or later', text: 'WebGPU is on from there.' },
      { title: 'Anywhere else: turn it on', text: 'Set this to true, then restart Firefox.', copy: ['about:config?filter=dom.webgpu.enabled'] },
    ],
  },
  {
    id: 'safari',
    label: 'Safari',
    steps: [
      { title: 'Use Safari 26 or later', text: 'macOS 26, iOS 26 and iPadOS 26 have WebGPU on.' },
      { title: 'On an older Safari', text: 'Develop menu, Feature Flags, turn on WebGPU, restart Safari.' },
    ],
  },
];

/** The table's row for the browser that shows this page. */
export function detectBrowser(userAgent: string): string {
  if (/Firefox\//.test(userAgent)) return 'firefox';
  if (/Safari\//.test(userAgent) && !/Chrom(e|ium)\//.test(userAgent)) return 'safari';
  return /Linux|CrOS/.test(userAgent) && !/Android/.test(userAgent) ? 'chrome-linux' : 'chrome';
}
