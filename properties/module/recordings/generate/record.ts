/**
 * Records generated scenarios on the specification, in the format of the recordings of the real
 * module.
 *
 * Such a recording shows what this specification does. It guards against change; it is no evidence
 * about the module.
 */
import { versionData, type ModuleVersion } from '../../../../spec/tdx/versions/index.ts';
import type { Config } from '../format/config.ts';
import type { RecordedStep } from '../format/step.ts';
import { Universes, type Slot, type Universe } from '../universe/universe.ts';
import { recordFinal } from './record-final.ts';
import { recordStep, type CallRequest } from './record-step.ts';

/** What a recording names as its module. Recordings of the real modules name their version so. */
export const moduleNameOf = (version: ModuleVersion): string =>
  `this specification, version ${versionData(version).name}`;

/** A scenario, as a line of a recording. */
export interface GeneratedScenario {
  readonly id: string;
  readonly seed: number;
  readonly config: Config;
  readonly steps: readonly RecordedStep[];
  readonly halted: boolean;
  readonly final: Readonly<Record<string, unknown>>;
}

/** Generates the scenario of a seed. */
export type MakeScenario = (
  seed: number,
  universes: Universes,
  version: ModuleVersion,
) => GeneratedScenario;

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

  /** The module has stopped the platform: no further call is possible. */
  get halted(): boolean {
    return this.steps.at(-1)?.result === 'HALT';
  }

  /** Makes a call and records it. */
  call(request: CallRequest): RecordedStep {
    const step = recordStep(this.u, this.slot(request.in.td), this.steps.length, request);
    this.steps.push(step);
    return step;
  }

  /** Returns the scenario so far, with the state at its end. */
  finish(id: string, seed: number): GeneratedScenario {
    const { config, steps, halted } = this;
    return { id, seed, config, steps, halted, final: recordFinal(this.u) };
  }
}
