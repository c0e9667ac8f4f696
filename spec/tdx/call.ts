/**
 * One call of an interface function: operands, outputs, and the locks that it holds, each under the
 * role that the lock has in the function. Roles make acquisition read like the function's page in
 * the ABI reference, and make release a table: each function lists the order in which it releases
 * its roles.
 *
 * Source: ABI Reference 348551, SEAMCALL and TDCALL leaves, for registers; intel/tdx-module 1.5.01,
 * include/tdx_vmm_api_handlers.h, include/tdx_td_api_handlers.h.
 */
import type { Cell } from '../machine/machine.ts';
import type { Entry } from './entry.ts';
import type { LockKind, Mode } from './locks.ts';

/**
 * The roles of a held lock, with the kind of lock. `*_1G` and `*_2M` are the PAMT parents of an
 * explicit walk; IMPLICIT is a PAMT entry locked without a walk (old page, S-EPT page); RANGE is
 * the PAMT entry of the range that PROMOTE merges or DEMOTE splits; PATH_n and BELOW are the PAMT
 * entries of tables that a fine-grained module locks: with entries of level n on the way to the
 * entry, and below it; PAIR0 and PAIR1 are the pages that hold the PAMT entries of a range. The
 * roles of hypothetical modules are last, as nearly every call is without them.
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
  ['PAIR0', 'sharexHp'],
  ['PAIR0_2M', 'sharexHp'],
  ['PAIR0_1G', 'sharexHp'],
  ['PAIR1', 'sharexHp'],
  ['PAIR1_2M', 'sharexHp'],
  ['PAIR1_1G', 'sharexHp'],
  ['BELOW', 'sharexHp'],
  ['PATH_0', 'sharexHp'],
  ['PATH_1', 'sharexHp'],
  ['PATH_2', 'sharexHp'],
  ['PATH_3', 'sharexHp'],
  ['PATH_4', 'sharexHp'],
] as const satisfies readonly (readonly [string, LockKind | 'entry'])[];

/** Names of the roles. */
export type RoleName = (typeof ROLE_KINDS)[number][0];
/** Role that a held lock plays in a call. */
export type Role = number;

const role = (name: RoleName): Role => ROLE_KINDS.findIndex(([n]) => n === name);

export const HELD_TDR = role('TDR');
export const HELD_PAGE = role('PAGE');
export const HELD_TDVPR = role('TDVPR');
/** The two pages for the PAMT entries of a range. */
export const HELD_PAIR = [role('PAIR0'), role('PAIR1')] as const;
export const HELD_IMPLICIT = role('IMPLICIT');
export const HELD_RANGE = role('RANGE');
export const HELD_OP_STATE = role('OP_STATE');
export const HELD_TREE = role('TREE');
export const HELD_EPOCH = role('EPOCH');
export const HELD_KOT = role('KOT');
export const HELD_WBT = role('WBT');
export const HELD_KET = role('KET');
export const HELD_ENTRY = role('ENTRY');
export const HELD_BELOW = role('BELOW');
const HELD_PATH = role('PATH_0');

/** Role of the table on the way that has the entries of `level`. */
export const heldPath = (level: number): Role => HELD_PATH + level;
/** All of them, the lowest first. */
export const HELD_PATHS: readonly Role[] = [0, 1, 2, 3, 4].map(heldPath);

/**
 * Role of the 2M PAMT parent of an operand that a call walked to. The leaf is held under the
 * operand's role, the parents under the next two.
 */
export const parent2M = (walked: Role): Role => walked + 1;
/** Role of the 1G PAMT parent, see {@link parent2M}. */
export const parent1G = (walked: Role): Role => walked + 2;

/** Whether a value is a role. */
export const isRole = (value: unknown): value is Role =>
  typeof value === 'number' && ROLE_KINDS[value] !== undefined;

/** The kind of lock that is held under a role. */
export const lockKindOf = (r: Role): LockKind | 'entry' =>
  (ROLE_KINDS[r] as (typeof ROLE_KINDS)[number])[1]; // from role()

/**
 * A register. The number is the register's value if a double holds it exactly, as it does all
 * values below 2^53 and every page address with high bits set. Else it is {@link ALL_ONES}, or
 * {@link HUGE} for any other value.
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
  /** The PAMT pages that DEMOTE takes where PAMT is dynamic. */
  readonly r12?: Register;
  readonly r13?: Register;
  /** Data operand: a token that stands for a 64-bit value (see Memory). */
  readonly data: number;
  /** The logical processor of the caller. */
  readonly lp: number;
  /** Guest side: page number of the calling vCPU's TDVPR; -1 for the host. */
  readonly vcpu: number;
  /** The n-th check for a pending interrupt in this call finds one; 0: the choices decide. */
  readonly interruptAfter: number;
  /** A failure that the platform injects into the call (recordings: `inject`). */
  readonly inject: Injection | null;
  /** TD_PARAMS of TDH.MNG.INIT, which the module reads from the shared page in RDX. */
  readonly tdParams: TdParams | null;
  /** RDX of TDH.MNG.RD: a field's id, which needs all 64 bits. */
  readonly field: bigint;
}

/** Failures that the platform can inject into a call. */
export type Injection =
  | 'rdseedFails'
  | 'pconfigDeviceBusy'
  | 'pconfigEntropyError'
  | 'tscAdjustMsrChanged'
  | 'bootNt4BitSet'
  | 'guestStateFaults';

/** The fields of TD_PARAMS that the recordings vary; docs/scope.md lists the rest. */
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
  /** The reserved field that is not zero (1-4), or 0. */
  readonly reservedNonZero: number;
  readonly cpuidConfig: number;
  /**
   * CPUID leaf 0x1F by sub-leaf: the level type, plus {@link OTHER_FIELDS} if another field is not
   * zero. Absent: all zero, which stands for the platform's.
   */
  readonly topology?: readonly number[];
}

/** See {@link TdParams}. */
export const OTHER_FIELDS = 0x100;

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

/** A call of an interface function: operands, locks, result. */
export class Call {
  /** Name of the function, e.g. `TDH.MEM.SEPT.ADD`. */
  readonly name: string;
  readonly in: Operands;
  /** The completion status, once the call has ended. */
  status = 0;
  /** Bits 31:0 of RAX where they are a value instead of the id of an operand; else -1. */
  wideOperand = -1;
  /**
   * Outputs. If `rcxEntry` is not null, RCX is the architectural view of that entry, and `rcx` is
   * not used.
   */
  rcx = 0;
  rcxEntry: Entry | null = null;
  rdx = 0;
  r8 = 0;
  r9 = 0;
  r10 = 0;
  r11 = 0;
  /** Outputs that need all 64 bits; they override the ones above. */
  wide: Readonly<Partial<Record<'rcx' | 'rdx' | 'r8' | 'r9', bigint>>> | null = null;
  /** Data output, as a token. */
  data = 0;
  /** R12 and R13: the PAMT pages that PROMOTE returns where PAMT is dynamic. */
  returnedPair: readonly [Register, Register] | null = null;

  /** Page number of the TD's TDR, once the operand has been checked. */
  tdr = -1;
  /** Page number of the page operand, once it has been checked. */
  page = -1;
  /** Page number of the TDVPR operand, once it has been checked. */
  tdvpr = -1;
  /** The level in RCX, once the operand has been checked. */
  askedLevel = 0;
  /** The end of the walk: table, entry's cell, value last read there, level. */
  table = -1;
  entryCell: Cell = -1;
  entry: Entry = 0;
  level = 0;

  /** The walk locks the tables that it passes; `pathBusy`: one of them was refused. */
  locksPath = false;
  pathBusy = false;
  /** Cell of the BEPOCH of the topmost blocked table that the walk has passed, or -1. */
  coveredBy: Cell = -1;

  /** The cell of the data word of a debug access. */
  dataCell: Cell = -1;

  /** Guest side: the VMX exit reason of the TD exit, or -1 while the vCPU is in the guest. */
  exitReason = -1;
  /**
   * Guest side: interrupted half-way. RAX and RIP are unchanged, so the guest executes the
   * instruction again.
   */
  interrupted = false;
  /** Guest side: the access injected a virtualization exception instead of completing. */
  injectedVe = false;

  /** A release found its lock not held: the module halts. */
  isHalted = false;
  /** The call was refused before it wrote a register: every output is the operand. */
  isUntouched = false;

  /** Number of checks for a pending interrupt so far. */
  interruptLooks = 0;
  /** The cell of the lock that last refused the call, or -1. */
  busyLock: Cell = -1;

  /** By role: `cell * 4 + mode`, or 0 if no lock is held; grows for the last roles. */
  private readonly held = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

  constructor(name: string, operands: Operands) {
    this.name = name;
    this.in = operands;
  }

  hold(r: Role, cell: Cell, mode: Mode): void {
    const { held } = this;
    while (held.length < r) held.push(0);
    held[r] = cell * 4 + mode;
  }

  /** Whether a lock is held under `r`. */
  holds(r: Role): boolean {
    return (this.held[r] ?? 0) !== 0;
  }

  /** Mode of the lock held under `r`, or 0. */
  modeOf(r: Role): Mode | 0 {
    return ((this.held[r] ?? 0) & 3) as Mode | 0; // two bits written by hold()
  }

  /** The cell of the lock held under `r`. */
  lockOf(r: Role): Cell {
    return (this.held[r] ?? 0) >> 2;
  }

  /**
   * Ends the hold under `r`: the lock was released, handed over (a vCPU in the guest keeps its TDR
   * and TDVPR locks), or dropped by the final write of the entry.
   */
  drop(r: Role): void {
    if (this.holds(r)) this.held[r] = 0;
  }
}
