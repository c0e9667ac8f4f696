/**
 * Records scenarios of our own, in the format of the recordings of the real module: what a scenario
 * asks is given call by call, the specification answers.
 *
 * Such a recording says what this specification does. It guards against change; it is no evidence
 * of what the module does.
 */
import type { Config } from '../format/config.ts';
import type { RecordedStep } from '../format/step.ts';
import { Universes, type Slot, type Universe } from '../universe/universe.ts';
import { recordFinal } from './record-final.ts';
import { recordStep, type Asked } from './record-step.ts';

/** What stands where recordings name the module that answered. */
export const OWN_MODULE = 'this specification, version 1.5';

/** A scenario as a line of a recording has it. */
export interface OwnScenario {
  readonly id: string;
  readonly seed: number;
  readonly config: Config;
  readonly steps: readonly RecordedStep[];
  readonly halted: boolean;
  readonly final: Readonly<Record<string, unknown>>;
}

/** Records one scenario. Only the recorder made last on the same universes is valid. */
export class Recorder {
  readonly u: Universe;
  private readonly config: Config;
  private readonly steps: RecordedStep[] = [];

  constructor(config: Config, universes = new Universes()) {
    this.config = config;
    this.u = universes.build(config);
  }

  /** The slot of a TD that the configuration lists. */
  slot(td: number): Slot {
    const slot = this.u.slots.get(td);
    if (slot === undefined) throw new Error(`the configuration lists no TD ${td}`);
    return slot;
  }

  get length(): number {
    return this.steps.length;
  }

  /** Has the module stopped the platform? Then there is nothing left to ask. */
  get halted(): boolean {
    return this.steps.at(-1)?.result === 'HALT';
  }

  /** Makes a call and writes it down. */
  ask(asked: Asked): RecordedStep {
    const step = recordStep(this.u, this.slot(asked.in.td), this.steps.length, asked);
    this.steps.push(step);
    return step;
  }

  /** The scenario so far, with the state at its end. */
  finish(id: string, seed: number): OwnScenario {
    const { config, steps, halted } = this;
    return { id, seed, config, steps, halted, final: recordFinal(this.u) };
  }
}
