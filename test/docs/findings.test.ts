/**
 * docs/findings.md: its scenarios have the answers that it gives, its commands print what it shows,
 * its counts are right.
 */
import { afterAll, describe, expect, test } from 'vitest';
import type { Scenario } from '../../properties/checker/scenarios/scenario.ts';
import { parseScenario } from '../../properties/checker/scenarios/text.ts';
import { readLines } from '../../properties/files/lines.ts';
import type { Beginning } from '../../properties/module/hunt/beginnings.ts';
import { Hunter, UNDECIDED, type Anomaly } from '../../properties/module/hunt/hunter.ts';
import { KNOWN_FINDINGS, knownFinding } from '../../properties/module/hunt/known-findings.ts';
import { parseRecordedScenario } from '../../properties/module/recordings/format/scenario.ts';
import { followStep } from '../../properties/module/recordings/replay/harness.ts';
import { hostWalk } from '../../properties/module/recordings/replay/observe.ts';
import { perform } from '../../properties/module/recordings/replay/perform.ts';
import { Universes, type Slot } from '../../properties/module/recordings/universe/universe.ts';
import { describeEntry, PENDING, stateOf } from '../../spec/tdx/entry.ts';
import { TDX_RULES } from '../../spec/tdx/rules/index.ts';
import { describeStatus, VMEXIT_EPT_VIOLATION } from '../../spec/tdx/status.ts';
import { listsVersion, MODULE_VERSIONS } from '../../spec/tdx/versions/index.ts';
import { testWith } from '../properties/module/recordings/recorded.ts';
import { CallExplorer } from '../support/call-explorer.ts';
import { pathOf, textOf } from '../support/repository.ts';
import { Clone, LONG, refreshed, tableIn } from './document.ts';

const FINDINGS = textOf('docs/findings.md');
const clone = new Clone([]);
afterAll(() => clone.remove());

/**
 * The answer of each call of a scenario of raw calls, e.g. `TDH.MEM.TRACK answers TDX_SUCCESS,
 * entry FREE`.
 */
function outcomes(opState: string, scenario: string): string[] {
  const explorer = new CallExplorer({ module: '1.5', finalize: opState === 'RUNNABLE' });
  const { m, tdx } = explorer.rig;
  const seen: string[] = [];
  tdx.listeners.push({
    ended: ({ name, entryCell }, status) => {
      const entry =
        entryCell < 0
          ? ''
          : `, entry ${describeEntry(m.peek(entryCell)).replace(/ 0x[0-9a-f]+/, '')}`;
      seen.push(`${name} answers ${describeStatus(status)}${entry}`);
    },
  });
  explorer.run(parseScenario(scenario.replaceAll('`', '')));
  return seen;
}

describe('findings.md, scenarios of raw calls', () => {
  test.each(tableIn(FINDINGS, 'finding'))(
    '%s, TD %s: %s: %s',
    (_finding, opState = '', scenario = '', outcome) => {
      expect(outcomes(opState, scenario)).toContain(outcome);
    },
  );
});

/** A call of the hunted scenarios has ended before this step. */
const STEPS = 32;

/** The scenario, preempted at each step in turn: versions differ in their steps. */
const preemptedAnywhere = (scenario: Scenario): Scenario[] =>
  Array.from({ length: STEPS }, (_, step) => ({
    ...scenario,
    deviations: scenario.deviations.map((deviation) => ({ ...deviation, step })),
  }));

/** The anomaly of a scenario, or null. @throws Error if it is undecided */
function anomalyOf(hunter: Hunter, scenario: Scenario): Anomaly | null {
  const anomaly = hunter.judge(scenario);
  if (anomaly === UNDECIDED) throw new Error('undecided');
  return anomaly;
}

describe('findings.md, scenarios of a hunt', () => {
  const rows = tableIn(FINDINGS, 'hunted').map(
    ([finding = '', versions = '', beginning = '', text = '', symptom = '']) => ({
      finding,
      versions: versions.split(', '),
      // the table names a beginning, else the hunter has none
      beginning: beginning as Beginning,
      scenario: parseScenario(text.replaceAll('`', '')),
      text,
      symptom,
    }),
  );

  test.each(rows)(
    '$finding, begins in $beginning: $text: $symptom',
    ({ finding, versions, beginning, scenario, symptom }) => {
      const [module] = MODULE_VERSIONS.filter((version) => listsVersion(versions, version));
      if (module === undefined) throw new Error(`no module ${versions.join()}`);
      const anomaly = anomalyOf(new Hunter(module, beginning), scenario);
      expect(anomaly?.symptom).toBe(symptom);
      expect(anomaly === null ? null : knownFinding(anomaly)).toBe(finding);
    },
  );

  test.each(rows)(
    '$finding, $text: the versions that show it are those of the table',
    ({ versions, beginning, scenario, symptom }) => {
      for (const module of MODULE_VERSIONS) {
        const hunter = new Hunter(module, beginning);
        const symptoms = preemptedAnywhere(scenario).map(
          (preempted) => anomalyOf(hunter, preempted)?.symptom,
        );
        expect(symptoms.includes(symptom), module).toBe(listsVersion(versions, module));
      }
    },
  );
});

test('findings.md has a section for each cause that a hunt knows', () => {
  for (const id of KNOWN_FINDINGS) expect(FINDINGS).toMatch(new RegExp(`^## ${id}: `, 'm'));
});

test('findings.md has a section for each finding that a rule names', () => {
  for (const { id, finding } of TDX_RULES) {
    if (finding === undefined) continue;
    expect(FINDINGS, id).toMatch(new RegExp(`^## ${finding.id}: .*(\n(?!## ).*)*${id}`, 'm'));
  }
});

test(
  'every console block of findings.md shows what its commands print now',
  { timeout: LONG },
  async () => {
    const { text, unusable } = await refreshed(FINDINGS, clone);

    expect(unusable).toEqual([]);
    await expect(text).toMatchFileSnapshot(pathOf('docs/findings.md'));
  },
);

testWith(
  'sequential.jsonl.gz',
  'F4: the number of recorded violations for a PENDING page is the one that findings.md gives',
  async (path) => {
    const universes = new Universes();
    const levels = [0, 0];
    const veDisabled = [0, 0];
    let violations = 0;
    for await (const line of readLines(path)) {
      const { config, steps } = parseRecordedScenario(line);
      const u = universes.build(config);
      for (const step of steps) {
        const slot = u.slots.get(step.in.td) as Slot; // the recording replays, so it is there
        const done = perform(u, slot, step);
        followStep(u, slot, step, done);
        if (done.call.status !== VMEXIT_EPT_VIOLATION) continue;
        violations++;
        const { entry, at } = hostWalk(u, slot, done.call.r8, 0);
        if (stateOf(entry) !== PENDING) continue;
        levels[at] = (levels[at] ?? 0) + 1;
        const bit = 'septVeDisable' in config ? config.septVeDisable : 0;
        veDisabled[bit] = (veDisabled[bit] ?? 0) + 1;
      }
    }
    expect({ violations, levels, veDisabled }).toEqual({
      violations: 144,
      levels: [34, 5],
      veDisabled: [16, 23],
    });
  },
);
