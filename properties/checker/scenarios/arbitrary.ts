/**
 * Random scenarios for fast-check. One tape of bytes is drawn and decoded into program and
 * schedule, which is several times faster than fc.record and fc.array. Scenarios shrink by
 * smaller.ts.
 */
import fc from 'fast-check';
import { DEFAULT_TREE, sizesOf, type Tree } from '../../../impl/vm/size.ts';
import type { VmKind } from '../../../impl/vm/vm.ts';
import {
  atLevel,
  REMOVE_TABLE,
  inTree,
  type ActorProgram,
  type ActorRole,
  type Deviation,
  type Scenario,
  type Operation,
} from './scenario.ts';
import { smaller } from './smaller.ts';

/** What scenarios are drawn from. */
export interface Shape {
  readonly vm: VmKind;
  /** The tree of the VM's page tables; the default when absent. */
  readonly tree?: Tree;
  /** Roles of the actors. A scenario has at least one of them, in any order. */
  readonly roles: readonly ActorRole[];
  /** Names of operations by role; a name that occurs twice is drawn twice as often. */
  readonly operations: Readonly<Record<ActorRole, readonly string[]>>;
  readonly maxOperations: number;
  /** Number of GFNs. */
  readonly gfns: number;
  /** These GFNs, in order; the first ones of the guest when absent. */
  readonly gfnAt?: readonly number[];
  /** Largest number of pages of an operation on a range; 2 when absent. */
  readonly maxPages?: number;
  /** Highest level of an entry whose table is removed; 1 (2M) when absent. */
  readonly maxLevel?: number;
  readonly maxDeviations: number;
  /** Number of steps of an operation, from its first, in which deviations are drawn. */
  readonly maxStep: number;
  /**
   * Number of steps of single operations, by name: their deviations are drawn evenly over it. An
   * operation that is longer than `maxStep` needs one, or else its end is never preempted.
   */
  readonly lengths?: Readonly<Record<string, number>>;
}

/** Draws numbers from a tape of bytes. Past its end all numbers are 0. */
export class Tape {
  private readonly bytes: Uint8Array;
  private at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  below(n: number): number {
    return n <= 1 ? 0 : (this.bytes[this.at++] ?? 0) % n;
  }
}

/** Decodes a tape. Every tape is a scenario; equal tapes give equal scenarios. */
export function decode(bytes: Uint8Array, shape: Shape): Scenario {
  const tape = new Tape(bytes);
  const count = 1 + tape.below(shape.roles.length);
  const actors: ActorProgram[] = [];
  const roles = [...shape.roles];
  for (let i = 0; i < count; i++) {
    const [role = 'host'] = roles.splice(tape.below(roles.length), 1);
    const length = 1 + tape.below(shape.maxOperations);
    const operations = Array.from({ length }, () => decodeOperation(tape, role, shape));
    actors.push({ role, operations });
  }
  const length = tape.below(shape.maxDeviations + 1);
  const deviations = Array.from({ length }, () => decodeDeviation(tape, actors, shape));
  const scenario: Scenario = { vm: shape.vm, actors, deviations };
  return shape.tree === undefined ? scenario : inTree(scenario, shape.tree);
}

/** Operations on one page or several. */
const RANGED = new Set(['unmap', 'unmap-atomic', 'age', 'prefault']);
/** Operations whose GFN is the number of a vCPU. */
const OF_VCPU = new Set(['init-vcpu']);

export function decodeOperation(tape: Tape, role: ActorRole, shape: Shape): Operation {
  const { gfns, gfnAt, maxLevel = 1, maxPages = 2 } = shape;
  const names = shape.operations[role];
  const name = names[tape.below(names.length)] ?? '';
  // low GFNs are more frequent, so that operations contend
  const nth = tape.below(OF_VCPU.has(name) ? gfns : 1 + tape.below(gfns));
  const gfn = gfnAt?.[nth] ?? nth;
  const operation = { name, gfn, pages: RANGED.has(name) ? 1 + tape.below(maxPages) : 1 };
  if (maxLevel === 1 || name !== REMOVE_TABLE) return operation;
  return atLevel(operation, removableLevel(shape, gfn, 1 + tape.below(maxLevel)));
}

/** The highest level up to `level` at which the entry of `gfn` maps used pages only. */
function removableLevel({ tree = DEFAULT_TREE }: Shape, gfn: number, level: number): number {
  const { fanout, usedPages } = sizesOf(tree);
  let removable = level;
  while (
    removable > 1 &&
    (Math.floor(gfn / fanout ** removable) + 1) * fanout ** removable > usedPages
  )
    removable--;
  return removable;
}

function decodeDeviation(
  tape: Tape,
  actors: readonly ActorProgram[],
  { maxStep, lengths = {} }: Shape,
): Deviation {
  // one actor more than the program has: the first that the run starts, an RCU callback
  const actor = tape.below(actors.length + 1);
  const operation = tape.below(actors[actor]?.operations.length ?? 1);
  const length = lengths[actors[actor]?.operations[operation]?.name ?? ''];
  // where lengths are not known early steps are more frequent: most operations are short
  const step = tape.below(length ?? 1 + tape.below(maxStep));
  const what = tape.below(4) === 0 ? 'outcome' : 'switch';
  return { actor, operation, step, what, value: 1 + tape.below(2) };
}

/** Length of the longest tape that {@link decode} reads. */
export const tapeLength = ({ roles, maxOperations, maxDeviations }: Shape): number =>
  2 + roles.length * (2 + maxOperations * 4) + maxDeviations * 6;

/** Scenarios of the given shapes, each shape equally often. */
export class ScenarioArbitrary extends fc.Arbitrary<Scenario> {
  private readonly shapes: readonly Shape[];
  private readonly bytes: Uint8Array;

  constructor(...shapes: readonly Shape[]) {
    super();
    this.shapes = shapes;
    this.bytes = new Uint8Array(Math.max(...shapes.map(tapeLength)));
  }

  override generate(random: fc.Random): fc.Value<Scenario> {
    const { bytes } = this;
    for (let i = 0; i < bytes.length; i += 4) {
      let word = random.nextInt(-0x8000_0000, 0x7fff_ffff);
      for (let k = i; k < i + 4 && k < bytes.length; k++) {
        bytes[k] = word & 0xff;
        word >>>= 8;
      }
    }
    const shape =
      this.shapes[this.shapes.length > 1 ? random.nextInt(0, this.shapes.length - 1) : 0];
    if (shape === undefined) throw new Error('scenarios need a shape');
    return new fc.Value(this.meaningOf(bytes, shape), undefined);
  }

  /** The scenario that a tape encodes. */
  protected meaningOf(bytes: Uint8Array, shape: Shape): Scenario {
    return decode(bytes, shape);
  }

  override canShrinkWithoutContext(value: unknown): value is Scenario {
    return (
      typeof value === 'object' && value !== null && 'actors' in value && 'deviations' in value
    );
  }

  override shrink(value: Scenario): fc.Stream<fc.Value<Scenario>> {
    return fc.stream(smaller(value)).map((scenario) => new fc.Value(scenario, undefined));
  }
}
