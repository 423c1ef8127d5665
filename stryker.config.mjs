// What `scripts/mutation.mjs` gives Stryker: one area in each run, named in its environment.
const {
  MUTATION_AREA = 'core',
  MUTATION_FILES = 'src/core/*.ts',
  MUTATION_AT_ONCE = '2',
} = process.env;

export default {
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  plugins: ['@stryker-mutator/vitest-runner'],
  mutate: MUTATION_FILES.split(' '),
  coverageAnalysis: 'perTest',
  concurrency: Number(MUTATION_AT_ONCE),
  // Long enough for the slowest test on a busy machine; a mutant that loops is cut off by it.
  timeoutMS: 15_000,
  timeoutFactor: 2,
  disableTypeChecks: true,
  // What was killed stays killed while neither the code nor the test changes.
  incremental: true,
  incrementalFile: `reports/mutation/${MUTATION_AREA}.incremental.json`,
  reporters: ['json', 'progress-append-only'],
  jsonReporter: { fileName: `reports/mutation/${MUTATION_AREA}.json` },
  tempDirName: '.stryker-tmp',
  cleanTempDir: 'always',
  ignorePatterns: ['dist.*', 'bench', 'coverage', 'reports'],
};
