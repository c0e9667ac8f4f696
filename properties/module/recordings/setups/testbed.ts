/**
 * The testbed on which recorded pairs of calls are set up again: a small platform whose every write
 * can be undone, so that one platform serves all cells of a recording.
 *
 * A set-up calls the specification's own functions. It writes a state itself only where the
 * recorder forced that state: a page that no guest accepted, a TD whose teardown was skipped.
 */
import type { Cell, Machine } from '../../../../spec/machine/machine.ts';
import { atomically } from '../../../../spec/machine/step.ts';
import { OPERANDS_ZERO, type Call, type Operands } from '../../../../spec/tdx/call.ts';
import { FUNCTIONS } from '../../../../spec/tdx/functions/index.ts';
import { tdExit } from '../../../../spec/tdx/guest/td-exit.ts';
import type { InterfaceFunction, TdxModule } from '../../../../spec/tdx/module.ts';
import { addressOf } from '../../../../spec/tdx/operands.ts';
import { describeStatus, isSuccessClass } from '../../../../spec/tdx/status.ts';
import { VP } from '../../../../spec/tdx/td.ts';
import {
  versionData,
  type ModuleVersion,
  type VersionData,
} from '../../../../spec/tdx/versions/index.ts';
import { supervised } from '../../../checker/module-guard.ts';
import type { Config, LifecycleConfig, SequentialConfig } from '../format/config.ts';
import { hexOf } from '../format/values.ts';
import { Universes, type Slot, type Universe } from '../universe/universe.ts';
import { conventionsOf, type Conventions } from './conventions.ts';
import { UndoLog } from './undo-log.ts';

/** A set-up that cannot be built, and why. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
}

/** The part of the TDMR that pair recordings use. */
const tdmrOf = (version: VersionData): SequentialConfig['tdmr'] => ({
  base: '0x100000000',
  size: hexOf(BigInt(conventionsOf(version).tdmrBytes)),
});
const hkidBits: [number, number] = [46, 51];
const reservedPage = '0x1005ff000';

const slot = (
  td: number,
  first: string,
  { tdcx: { min, root } }: VersionData,
): SequentialConfig['tds'][number] => ({
  td,
  tdr: `0x1000${first}0000`,
  tdcx: [`0x1000${first}1000`, min],
  septRoot: `0x1000${first}${1 + root}000`,
  hkid: 34 + td,
  tdvpr: [1, 2, 3].map(
    (i) => `0x100${(parseInt(first, 16) * 16 + i * 16).toString(16).padStart(3, '0')}000`,
  ),
});

/** Two TDs in OP_STATE INITIALIZED, each with three vCPUs that are not associated. */
export const builtTds = (version: VersionData): SequentialConfig => ({
  tdmr: tdmrOf(version),
  hkidBits,
  reservedPage,
  septLevels: 4,
  gpaw: 0,
  debug: 1,
  septVeDisable: 1,
  tds: [slot(0, '0', version), slot(1, '8', version)],
});

/** Two empty slots, one package, private HKIDs 32 (the module's) to 36. */
export const emptySlots = (version: VersionData): LifecycleConfig => ({
  tdmr: tdmrOf(version),
  hkidBits,
  reservedPage,
  packages: 1,
  privateHkids: [32, 36],
  cachedSubBlocks: 4,
  tdSlots: builtTds(version).tds.map(({ td, tdr, tdcx, tdvpr }) => ({
    td,
    tdr,
    tdcx: tdcx[0],
    tdvpr,
  })),
});

/** LPs of host calls: X's, Y's, those of the set-up, and the "other LP" of a relation. */
export const X_LP = 4;
export const Y_LP = 5;
export const SETUP_LP = 6;
export const OTHER_LP = 7;
/** The LP of a vCPU. */
export const lpOf = (td: number, vcpu: number): number => 8 * td + vcpu;

/** No call of a set-up is interrupted. */
const NEVER = -1;

const PROGRESS = [VP.RIP, VP.RIP_AT_ENTRY, VP.VIOLATIONS, VP.LISTED, VP.LAST_EXIT_TSC];

export class Testbed {
  readonly u: Universe;
  readonly tdx: TdxModule;
  readonly m: Machine;
  readonly conventions: Conventions;
  private readonly log: UndoLog;
  /** The words of vCPUs that change with every exit, or with every instruction of the guest. */
  private readonly progress: ReadonlySet<Cell>;

  constructor(config: (version: VersionData) => Config, version: ModuleVersion) {
    this.u = new Universes(version).build(config(versionData(version)));
    this.tdx = this.u.tdx;
    this.m = this.tdx.m;
    this.conventions = conventionsOf(this.tdx.version);
    this.log = new UndoLog(this.m);
    const vcpus = [...this.u.slots.values()].flatMap(({ tdvpr }) => tdvpr);
    this.progress = new Set(
      vcpus.flatMap((page) => PROGRESS.map((field) => this.tdx.memory.word(page, field))),
    );
  }

  /** A point to return to with {@link undo}. */
  mark(): number {
    return this.log.length;
  }

  /**
   * What is not as it was at `mark`, as text: equal texts are equal states. The progress of guests
   * is no part of it, nor is what the zero-step filter keeps of it.
   */
  changesSince(mark: number): string {
    return this.log.changesSince(mark, this.progress);
  }

  /** Undoes every write since `mark`. */
  undo(mark: number): void {
    this.log.undo(mark);
  }

  slot(td: number): Slot {
    const found = this.u.slots.get(td);
    if (found === undefined) throw new SetupError(`there is no TD ${td}`);
    return found;
  }

  /** HPA (bytes) of a page number. */
  address(page: number): number {
    return addressOf(this.tdx, page);
  }

  tdrAddress(td: number): number {
    return this.address(this.slot(td).tdr);
  }

  /** Page number of the TDVPR of a vCPU. */
  tdvpr(td: number, vcpu: number): number {
    const page = this.slot(td).tdvpr[vcpu];
    if (page === undefined) throw new SetupError(`TD ${td} has no vCPU ${vcpu}`);
    return page;
  }

  /** The cell of a field of a TD. */
  tdCell(td: number, field: number): number {
    return this.tdx.memory.word(this.slot(td).tdr, field);
  }

  /** Calls a function in one go. */
  call(name: string, operands: Partial<Operands>): Call {
    const steps = this.tdx.invoke(functionNamed(name), operandsOf(operands));
    return supervised(this.tdx.version, () => atomically(steps), name);
  }

  /** Calls a function for the set-up. @throws SetupError if the call does not succeed */
  expect(name: string, operands: Partial<Operands>): void {
    const { status } = this.call(name, operands);
    if (!isSuccessClass(status))
      throw new SetupError(`${name} answers ${describeStatus(status)} during the set-up`);
  }

  /** A vCPU enters its TD. */
  enter(td: number, vcpu: number): void {
    this.expect('TDH.VP.ENTER', { rcx: this.address(this.tdvpr(td, vcpu)), lp: lpOf(td, vcpu) });
  }

  /** A vCPU leaves its TD for an external interrupt. */
  exit(td: number, vcpu: number): void {
    atomically(tdExit(this.tdx, this.tdvpr(td, vcpu)));
  }
}

export function functionNamed(name: string): InterfaceFunction {
  const fn = FUNCTIONS.get(name);
  if (fn === undefined) throw new SetupError(`there is no function ${name}`);
  return fn;
}

export const operandsOf = (operands: Partial<Operands>): Operands => ({
  ...OPERANDS_ZERO,
  lp: SETUP_LP,
  interruptAfter: NEVER,
  ...operands,
});
