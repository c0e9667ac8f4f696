/**
 * The shipped concurrent histories, altered. The judge explains none of those that no order
 * explains any more, and names the call if only one can be meant; it explains harmless
 * alterations.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  HistoryJudge,
  type JudgedHistory,
} from '../../../../properties/module/recordings/concurrent/judge.ts';
import { pathOf } from '../../../support/repository.ts';
import {
  ALTERATIONS,
  FINAL_ALTERATIONS,
  HARMLESS,
  type Event,
  type History,
} from './alterations.ts';

const path = pathOf('recordings/concurrent.jsonl.gz');
const HISTORIES = gunzipSync(readFileSync(path))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as History);
const judge = new HistoryJudge();
const judged = (value: unknown): JudgedHistory => judge.line({ where: path, value });

/** Number of calls of a history that an alteration is applied to. */
const CALLS = 3;

test.each(ALTERATIONS)('the judge explains no history with $name', ({ applies, change, says }) => {
  let tried = 0;
  for (const history of HISTORIES) {
    const indexes = history.events.flatMap((event, i) => (applies(event, history) ? [i] : []));
    for (const index of indexes.slice(0, CALLS)) {
      const altered = structuredClone(history);
      const event = altered.events[index] as Event; // an index of the same list
      change(event, altered);
      const { verdict, why } = judged(altered);
      tried++;
      expect(verdict, `${history.id} ${index}: ${why}`).toBe('unexplained');
      if (says === undefined) continue;
      expect(why).toMatch(says);
      expect(why?.startsWith(`event ${index} (${event.op})`), why ?? '').toBe(true);
    }
  }
  expect(tried).toBeGreaterThanOrEqual(2);
});

test.each(FINAL_ALTERATIONS)(
  'the judge names the final state if it differs in %s',
  (_what, change) => {
    for (const history of HISTORIES) {
      const altered = structuredClone(history);
      change(altered.final.tds[0], altered);
      expect(judged(altered)).toMatchObject({
        verdict: 'unexplained',
        why: expect.stringMatching(/^the final state: /),
      });
    }
  },
);

test.each(HARMLESS)('the judge explains a history with %s', (_what, change) => {
  for (const history of HISTORIES) {
    const altered = structuredClone(history);
    change(altered);
    expect(judged(altered)).toMatchObject({ id: altered.id, verdict: 'explained', why: null });
  }
});
