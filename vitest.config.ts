import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const ROOT = new URL('./', import.meta.url);
const { exports } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));

/**
 * `sept-conformance/impl` and the other entry points are the sources of this clone, also for a
 * policy in another folder.
 */
const alias = Object.entries<{ 'sept-source'?: string }>(exports).flatMap(
  ([name, { 'sept-source': source }]) =>
    source === undefined
      ? []
      : [
          {
            find: new RegExp(`^sept-conformance${name.slice(1)}$`),
            replacement: fileURLToPath(new URL(source, ROOT)),
          },
        ],
);

/** With a policy named, only the tests of its verdict run: the others are not about it. */
const isAboutPolicy = (process.env['POLICY'] ?? process.env['SEPT_POLICY'] ?? '') !== '';

export default defineConfig({
  resolve: { alias },
  test: {
    include: [isAboutPolicy ? 'test/impl/policies/verdicts.test.ts' : '**/*.test.ts'],
    pool: 'forks',
    // No module keeps mutable state, so files may share a worker: measured 5x faster.
    isolate: false,
    // The checks are pure CPU work; the default leaves one core to the (idle) main process.
    maxWorkers: '100%',
    testTimeout: 120_000,
    reporters: ['default'],
    coverage: {
      provider: 'v8',
      include: ['spec/**/*.ts', 'impl/**/*.ts', 'properties/**/*.ts'],
      thresholds: {
        'spec/**/*.ts': { branches: 95 },
      },
    },
  },
});
