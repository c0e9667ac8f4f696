/** Shapes of new TDs: deviations reach every step of the ioctls, also of the long ones. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { upstream619 } from '../../../impl/index.ts';
import { Engine } from '../../../properties/checker/engine.ts';
import { ScenarioArbitrary } from '../../../properties/checker/scenarios/arbitrary.ts';
import { parseScenario } from '../../../properties/checker/scenarios/text.ts';
import { shapesOf } from '../../../properties/checker/shapes.ts';

const SHAPES = shapesOf(upstream619).filter(({ vm }) => vm === 'new-td');
const engine = new Engine({ policy: upstream619, kind: 'new-td', module: '1.5' });

/** Number of steps that each operation of a program of one actor takes, by name. */
function lengthsOf(text: string): Map<string, number> {
  const scenario = parseScenario(text);
  const { m, listeners } = engine.vm;
  const found = new Map<string, number>();
  const listener = {
    operationEnded: () => {
      const { op = -1, taken = 0 } = m.actors[m.current] ?? {};
      const name = scenario.actors[m.current]?.operations[op]?.name;
      if (name !== undefined) found.set(name, taken);
    },
  };
  listeners.push(listener);
  engine.run(scenario);
  listeners.splice(listeners.indexOf(listener), 1);
  return found;
}

describe('random scenarios of new TDs', () => {
  test('no operation is longer, alone, than the steps in which it is preempted', () => {
    const measured = [
      'new-td | h0: init-vcpu 1; add-memory 1; finalize 0; unmap 0',
      'new-td | h0: remove-slot 0; fail-seamcall 0',
      'new-td | v0: touch 0',
      'new-td | h0: finalize 0 | v0: touch 0; read 0; pre-fault 1',
    ].flatMap((text) => [...lengthsOf(text)]);

    for (const { operations, lengths = {} } of SHAPES) {
      const names = [...operations.host, ...operations.vcpu];
      for (const name of names) expect(measured.map(([one]) => one)).toContain(name);
      for (const [name, steps] of measured)
        expect(lengths[name], name).toBeGreaterThanOrEqual(steps);
    }
  });

  test('VP.INIT, at the end of the longest ioctl, is preempted', () => {
    const steps = new Set<number>();
    for (const { actors, deviations } of fc.sample(new ScenarioArbitrary(...SHAPES), {
      seed: 1,
      numRuns: 4000,
    })) {
      for (const { actor, operation, step } of deviations)
        if (actors[actor]?.operations[operation]?.name === 'init-vcpu') steps.add(step);
    }
    const last = lengthsOf('new-td | h0: init-vcpu 1').get('init-vcpu') ?? Infinity;

    expect(last).toBeGreaterThan(120);
    for (let step = 0; step < last; step++) expect(steps).toContain(step);
  });
});
