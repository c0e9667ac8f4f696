/** Dynamic PAMT: what PAMT.ADD and REMOVE answer beside other calls. */
import { expect, test } from 'vitest';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { describeStatus } from '../../../spec/tdx/status.ts';
import { CallExplorer } from '../../support/call-explorer.ts';
import { onePreemption } from './schedules.ts';

const ADD = 'TDH.PHYMEM.PAMT.ADD';
const REMOVE = 'TDH.PHYMEM.PAMT.REMOVE';

const answersOf = (text: string, name: string): Set<string> => {
  const explorer = new CallExplorer({ module: 'dynamic-pamt' });
  const seen = new Set<string>();
  explorer.rig.tdx.listeners.push({
    ended: (call, status) => {
      if (call.name === name) seen.add(describeStatus(status));
    },
  });
  for (const scenario of onePreemption(parseScenario(text))) explorer.run(scenario);
  return seen;
};

test('PAMT.REMOVE is busy while PAGE.AUG takes a page of the range', () => {
  const answers = answersOf('h0: aug 0 | h1: pamt-remove 0', REMOVE);
  expect(answers).toContain('TDX_OPERAND_BUSY|RCX');
  expect(answers).toContain('TDX_SUCCESS');
  expect(answers).not.toContain('MODULE_HALT');
});

test.each([
  [
    'PAMT.ADD beside REMOVE of its range is busy, finds the pair, or succeeds',
    'h0: pamt-remove 0 | h1: pamt-add 0',
    ADD,
    'TDX_HPA_RANGE_NOT_FREE|RCX',
  ],
  [
    'PAMT.REMOVE beside ADD of its range is busy, finds no pair, or succeeds',
    'h0: pamt-remove 0; pamt-add 0 | h1: pamt-remove 0',
    REMOVE,
    'TDX_NO_PAMT_PAGE_PAIR|RCX',
  ],
])('%s', (_, scenario, name, found) => {
  const answers = answersOf(scenario, name);
  expect([...answers].toSorted()).toEqual(
    [found, 'TDX_OPERAND_BUSY|RCX', 'TDX_SUCCESS'].toSorted(),
  );
});

test('PAMT.REMOVE halts between the free of the last page and its count', () => {
  const text = 'h0: aug 0; block 0; track 0; remove 0 | h1: pamt-remove 0';
  expect(answersOf(text, REMOVE)).toContain('MODULE_HALT');
});
