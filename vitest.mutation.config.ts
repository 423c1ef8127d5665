import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import base from './vitest.config.ts';

/** Quick files first: a mutant's run ends with the first test that fails. */
class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isSlow = ({ moduleId }: TestSpecification) =>
      /(bare|hooks|silence|wiring|diagnose|broken|upload|room|once|postgres|redis)\.test\.ts$/.test(
        moduleId,
      );
    return files.toSorted(
      (a, b) => Number(isSlow(a)) - Number(isSlow(b)) || (a.moduleId < b.moduleId ? -1 : 1),
    );
  }
}

// For the mutation runs (`npm run test:mutation`): the tests that judge the source itself, without those
// of the package, the documents, the examples, other processes and other machines' parts.
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    include: (
      process.env.MUTATION_TESTS ?? 'test/{core,providers}/*.test.ts,test/verify.test.ts'
    ).split(/,(?![^{]*})/),
    pool: 'threads',
    sequence: { sequencer: QuickFirst },
    // Stryker takes what runs for the work of one test.
    maxConcurrency: 1,
    // A mutant that never answers fails its test; no test here needs half as long.
    testTimeout: 6_000,
    hookTimeout: 10_000,
    coverage: { enabled: false },
  },
});
