/** Histories by which a rule once blamed a policy for what was not its doing: long campaigns found them. */
import { describe, expect, test } from 'vitest';
import { exclusive, upstream616 } from '../../impl/index.ts';
import { Engine } from '../../properties/engine.ts';
import { parseHistory } from '../../properties/histories/text.ts';
import { timelineOf } from '../../properties/reports/timeline.ts';

describe.each([exclusive, upstream616])('$name', (policy) => {
  test.each([
    ['S08: a guest waits for a host that asked for priority and whose memslot went away before it came back',
      'v0: accept 0; accept-huge 2 | v1: read 2 | h0: remove-slot 0 | @v0.1.4>1'],
    ['S09: PROMOTE met BUSY, and was not possible when it was repeated',
      'v0: accept-huge 1; idle 0 | h0: promote 0 | v1: accept-huge 0 | @v1.0.14>1'],
  ])('%s', (_what, text) => {
    expect(new Engine({ policy, module: '1.5' }).run(parseHistory(text))).toBeNull();
  });
});

test('such a guest leaves when the module has refused it for long enough', () => {
  const history = parseHistory('v0: accept 0; accept-huge 2; touch 0 | v1: read 2 | h0: remove-slot 0 | @v0.1.4>1');
  const calls = timelineOf({ policy: exclusive, module: '1.5' }, history).rows
    .filter(({ actor }) => actor === 0).map(({ text }) => text);
  const refused = 'PAGE.ACCEPT 2@L1 -> OPERAND_BUSY_HOST_PRIORITY|RCX';

  expect(calls.filter((text) => text === refused)).toHaveLength(500);
  expect(calls.slice(calls.lastIndexOf(refused) + 1)).toContain('VP.ENTER -> SUCCESS');
});
