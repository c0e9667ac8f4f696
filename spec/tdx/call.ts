/**
 * One call of an interface function: operands, outputs, and the locks it holds, each under the role
 * it plays in the function. Roles make acquisition read like the reference page, and release a
 * table: each function lists in which order it lets go.
 */
import type { Cell } from '../machine/machine.ts';
import type { Entry } from './entry.ts';
import type { LockKind, Mode } from './locks.ts';

/**
 * The parts that a held lock can play, and what kind of lock it is. `*_1G` and `*_2M` are the PAMT
 * parents of an explicit walk; IMPLICIT is a PAMT entry locked by itself (old page, S-EPT page),
 * RANGE the PAMT entry of the range that PROMOTE merges or DEMOTE splits.
 */
const ROLE_KINDS = [
  ['TDR', 'sharexHp'],
  ['TDR_2M', 'sharexHp'],
  ['TDR_1G', 'sharexHp'],
  ['PAGE', 'sharexHp'],
  ['PAGE_2M', 'sharexHp'],
  ['PAGE_1G', 'sharexHp'],
  ['TDVPR', 'sharexHp'],
  ['TDVPR_2M', 'sharexHp'],
  ['TDVPR_1G', 'sharexHp'],
  ['IMPLICIT', 'sharexHp'],
  ['RANGE', 'sharexHp'],
  ['OP_STATE', 'sharexHp'],
  ['TREE', 'sharex'],
  ['EPOCH', 'sharex'],
  ['KOT', 'sharex'],
  ['WBT', 'mutex'],
  ['KET', 'mutex'],
  ['ENTRY', 'entry'],
] as const satisfies readonly (readonly [string, LockKind | 'entry'])[];

export type RoleName = (typeof ROLE_KINDS)[number][0];
export type Role = number;

const role = (name: RoleName): Role => ROLE_KINDS.findIndex(([n]) => n === name);

export const HELD_TDR = role('TDR');
export const HELD_PAGE = role('PAGE');
export const HELD_TDVPR = role('TDVPR');
export const HELD_IMPLICIT = role('IMPLICIT');
export const HELD_RANGE = role('RANGE');
export const HELD_OP_STATE = role('OP_STATE');
export const HELD_TREE = role('TREE');
export const HELD_EPOCH = role('EPOCH');
export const HELD_KOT = role('KOT');
export const HELD_WBT = role('WBT');
export const HELD_KET = role('KET');
export const HELD_ENTRY = role('ENTRY');

/** A walked operand holds its leaf under its role and the parents under the next two. */
export const parent2M = (walked: Role): Role => walked + 1;
export const parent1G = (walked: Role): Role => walked + 2;

export const lockKindOf = (r: Role): LockKind | 'entry' =>
  (ROLE_KINDS[r] as (typeof ROLE_KINDS)[number])[1]; // from role()

/**
 * A register: exact when a double holds it, as it does all values below 2^53 and every page address
 * with high bits set; {@link ALL_ONES}; or {@link HUGE} for the values between.
 */
export type Register = number;
export const ALL_ONES = -2;
export const HUGE = -1;

/** The operands of a call, as registers hold them. */
export interface Operands {
  readonly version: number;
  readonly rcx: Register;
  readonly rdx: Register;
  readonly r8: Register;
  readonly r9: Register;
  readonly r10: Register;
  readonly r11: Register;
  /** Data operand: a token that stands for a 64-bit value (see Memory). */
  readonly data: number;
  /** The logical processor that makes the call. */
  readonly lp: number;
  /** Guest side: page number of the TDVPR of the vCPU that calls; -1 for the host. */
  readonly vcpu: number;
  /** The n-th look at the pending-interrupt state, in this call, finds one; 0: as the choices say. */
  readonly interruptAfter: number;
  /** A failure that the platform is made to show during the call (recordings: `inject`). */
  readonly inject: Injection | null;
  /** TD_PARAMS of TDH.MNG.INIT, read from the shared page that RDX names. */
  readonly tdParams: TdParams | null;
  /** RDX of TDH.MNG.RD: a field's id, which takes all 64 bits. */
  readonly field: bigint;
}

export type Injection =
  | 'rdseedFails'
  | 'pconfigDeviceBusy'
  | 'pconfigEntropyError'
  | 'tscAdjustMsrChanged'
  | 'bootNt4BitSet';

/** What the recordings vary of TD_PARAMS; see docs/scope.md for the rest. */
export interface TdParams {
  readonly attributes: bigint;
  readonly xfam: bigint;
  readonly maxVcpus: number;
  readonly numL2Vms: number;
  readonly msrConfigCtls: number;
  readonly eptpControls: bigint;
  readonly configFlags: bigint;
  readonly tscFrequency: number;
  readonly archCapConfig: bigint;
  /** Which reserved field is not zero (1-4), or 0. */
  readonly reservedNonZero: number;
  readonly cpuidConfig: number;
}

export const OPERANDS_ZERO: Operands = {
  version: 0,
  rcx: 0,
  rdx: 0,
  r8: 0,
  r9: 0,
  r10: 0,
  r11: 0,
  data: 0,
  lp: 0,
  vcpu: -1,
  interruptAfter: 0,
  inject: null,
  tdParams: null,
  field: 0n,
};

export class Call {
  /** Name of the function, e.g. `TDH.MEM.SEPT.ADD`. */
  readonly name: string;
  readonly in: Operands;
  /** The completion status, once the call has ended. */
  status = 0;
  /**
   * Outputs. `rcxEntry`: when not null RCX is the architectural view of that entry, and `rcx` is
   * not used.
   */
  rcx = 0;
  rcxEntry: Entry | null = null;
  rdx = 0;
  r8 = 0;
  r9 = 0;
  r10 = 0;
  r11 = 0;
  /** Outputs that take all 64 bits; they go before the ones above. */
  wide: { readonly rcx?: bigint; readonly rdx?: bigint; readonly r8?: bigint } | null = null;
  /** Data output, as a token. */
  data = 0;

  /** Page number of the TD's TDR, once its operand has been checked. */
  tdr = -1;
  /** Page number of the page operand, once checked. */
  page = -1;
  /** Page number of the TDVPR operand, once checked. */
  tdvpr = -1;
  /** Where the walk ended: the table, the entry's cell, the value last read there, its level. */
  table = -1;
  entryCell: Cell = -1;
  entry: Entry = 0;
  level = 0;

  /** The data word that a debug access found. */
  dataCell: Cell = -1;

  /**
   * Guest side: the VMX exit reason with which the vCPU left the TD, or -1 while it is still
   * inside.
   */
  exitReason = -1;
  /**
   * Guest side: interrupted half-way; RAX and RIP are as before, so the guest executes the
   * instruction again.
   */
  interrupted = false;
  /** Guest side: a virtualization exception was injected instead of completing the access. */
  injectedVe = false;

  /** How often this call has looked for a pending interrupt. */
  interruptLooks = 0;
  /** True once the module has refused the call for a lock, with the cell that refused it. */
  busyLock: Cell = -1;

  /** Per role `cell * 4 + mode`, or 0: nothing is held. */
  private readonly held = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

  constructor(name: string, operands: Operands) {
    this.name = name;
    this.in = operands;
  }

  hold(r: Role, cell: Cell, mode: Mode): void {
    this.held[r] = cell * 4 + mode;
  }

  /** Whether anything is held under `r`. */
  holds(r: Role): boolean {
    return this.held[r] !== 0;
  }

  /** Mode of the lock held under `r`, or 0. */
  modeOf(r: Role): Mode | 0 {
    return ((this.held[r] as number) & 3) as Mode | 0; // two bits written by hold()
  }

  /** The cell of the lock held under `r`. */
  lockOf(r: Role): Cell {
    return (this.held[r] as number) >> 2; // roles come from role()
  }

  /**
   * The call no longer holds `r`: it was released, or handed over (a running vCPU keeps its TDR and
   * TDVPR locks), or the entry's final write dropped the lock bit.
   */
  drop(r: Role): void {
    this.held[r] = 0;
  }
}
