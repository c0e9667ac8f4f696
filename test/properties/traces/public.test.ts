/** `judgeTrace` in the public interface of the package. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { judgeTrace, TRACE_RULE_IDS, type TraceVerdict } from 'sept-conformance/properties';
import { expect, test } from 'vitest';
import { pathOf } from '../../support/repository.ts';

const lines = gunzipSync(
  readFileSync(pathOf('recordings/traces/linux-7.3.4-bug-stale-fault.trace.gz')),
)
  .toString('latin1')
  .split('\n');

test('judgeTrace reports the violated rule and its line', () => {
  const verdict: TraceVerdict = judgeTrace(lines, { rules: ['K37'], limit: 1 });

  expect(verdict).toMatchObject({ kernel: '7.3', violations: [{ rule: 'K37', line: 177 }] });
  expect(Object.keys(verdict.rules)).toEqual(['K37']);
  expect(TRACE_RULE_IDS).toContain('K37');
});
