// Who may import whom: the layer table of docs/architecture.md as rules. A folder may always import itself; what a
// layer's row does not name is forbidden, types included. Tests and f64 references may import anything.

const TESTS = String.raw`\.(test|reference|bench)\.tsx?$|/testing/`;
const SHADERS = '^shaders/';

/** Layer → [its files, what it may import beside itself]. Layers are named by folder; the first match wins. */
const LAYERS = {
  util: [[], '^src/util/'],
  'engine/gpu': [['util'], '^src/engine/gpu/'],
  'engine/tensor': [['engine/gpu', 'util'], '^src/engine/tensor/'],
  'engine/ops': [['engine/tensor', 'engine/gpu', 'util', 'shaders'], '^src/engine/ops/'],
  'engine/linalg': [['engine/ops', 'engine/tensor', 'engine/gpu', 'util', 'shaders'], '^src/engine/linalg/'],
  'engine/nn': [['engine/linalg', 'engine/ops', 'engine/tensor', 'util'], '^src/engine/nn/'],
  'engine/joint': [['engine/linalg', 'engine/ops', 'engine/tensor', 'engine/gpu', 'util', 'shaders'], '^src/engine/joint/'],
  'engine/optim': [['engine/linalg', 'engine/ops', 'engine/tensor', 'engine/gpu', 'util', 'shaders'], '^src/engine/optim/'],
  models: [['engine/nn', 'engine/ops', 'engine/tensor', 'util'], '^src/models/'],
  data: [['util'], '^src/data/'],
  formats: [['util'], '^src/formats/'],
  onnx: [['util'], '^src/onnx/'],
  // The vocabulary of a run: its settings, what it reports, what describes models and methods. Pure, so page and worker share it.
  'training/vocabulary': [['util'], String.raw`^src/training/(config|tasks|fields|card|events|cut|explore-card)\.ts$`],
  training: [['engine', 'models', 'data', 'formats', 'onnx', 'util'], '^src/training/'],
  methods: [['training', 'engine', 'util', 'shaders'], '^src/methods/'],
  'worker/protocol': [['training/vocabulary', 'util'], String.raw`^src/worker/protocol\.ts$`],
  'worker/client': [['worker/protocol', 'util'], String.raw`^src/worker/client\.ts$`],
  worker: [['worker/protocol', 'methods', 'models', 'data', 'training', 'formats', 'onnx', 'engine/gpu', 'util'], '^src/worker/'],
  cli: [['methods', 'models', 'data', 'training', 'formats', 'onnx', 'engine', 'util', 'worker/protocol'], '^src/cli/'],
  store: [['worker/protocol', 'worker/client', 'training/vocabulary', 'util'], '^src/store/'],
  ui: [['store', 'util'], '^src/ui/'],
  main: [['ui', 'store', 'worker/client', 'util'], String.raw`^src/main\.tsx$`],
};

/** The path pattern of something a row names: a layer, the shaders, or all of the engine. */
function pattern(name) {
  if (name === 'shaders') return SHADERS;
  return LAYERS[name]?.[1] ?? `^src/${name}/`;
}

function layerRule([name, [allowed, own]], index, all) {
  // worker/ and training/ have rows for single files before their own: those files are not part of the later row.
  const earlier = all.slice(0, index).map(([, [, path]]) => path).filter((path) => path.startsWith(own.replace(/\/$/, '')));
  return {
    name: `layer ${name}`,
    comment: `${name} may import only ${['itself', ...allowed].join(', ')}.`,
    severity: 'error',
    from: { path: own, pathNot: [TESTS, ...earlier] },
    to: { path: '^(src|shaders)/', pathNot: [own, ...allowed.map(pattern)] },
  };
}

export default {
  forbidden: [
    ...Object.entries(LAYERS).map(layerRule),
    {
      name: 'no cycles',
      comment: 'Files that import each other in a ring cannot be read or tested one at a time: move what both need down.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'shaders by raw import',
      comment: 'Only the engine and the methods reach WGSL files.',
      severity: 'error',
      from: { pathNot: ['^src/(engine|methods)/', TESTS] },
      to: { path: SHADERS },
    },
    {
      name: 'no test code in the product',
      comment: 'Tests, f64 references and probes are never loaded by the product; `lowrank bench` checks what it times, so it may.',
      severity: 'error',
      from: { path: '^src/', pathNot: [TESTS, '^src/cli/verbs/bench'] },
      to: { path: TESTS },
    },
    {
      name: 'resolves',
      comment: 'An import of a file or package that is not there.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: 'node_modules/(?!webgpu)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'require', 'node', 'default', 'types'], extensions: ['.ts', '.tsx', '.mts', '.d.mts', '.mjs', '.js', '.json'] },
  },
};
