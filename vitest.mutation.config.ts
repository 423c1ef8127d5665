import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

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
    coverage: { enabled: false },
  },
});
