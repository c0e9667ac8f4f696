/** Number of operations of a scenario, by which tests see how far it shrinks. */
import type { Scenario } from '../../properties/checker/scenarios/scenario.ts';

export const operationCount = (scenario: Scenario): number =>
  scenario.actors.reduce((n, actor) => n + actor.operations.length, 0);
