/**
 * Completion statuses of the TDX module's interface functions.
 *
 * In runs a status is a small integer, `index | operand << 8`. The 64-bit value that software sees
 * in RAX exists only at the edges.
 *
 * Source: intel/tdx-module 1.5.01, include/auto_gen/tdx_error_codes_defs.h; ABI Reference 348551,
 * interface function completion status codes.
 */
export type Status = number;

/** Name and bits 63:32 of RAX. The order is the index. */
const CODES = [
  ['TDX_SUCCESS', 0x00000000],
  ['TDX_OPERAND_INVALID', 0xc0000100],
  ['TDX_OPERAND_ADDR_RANGE_ERROR', 0xc0000101],
  ['TDX_OPERAND_BUSY', 0x80000200],
  ['TDX_PREVIOUS_TLB_EPOCH_BUSY', 0x80000201],
  ['TDX_RND_NO_ENTROPY', 0x80000203],
  ['TDX_OPERAND_BUSY_HOST_PRIORITY', 0x80000204],
  ['TDX_PAGE_METADATA_INCORRECT', 0xc0000300],
  /** Statuses of modules with dynamic PAMT. */
  ['TDX_PAGE_NOT_FREE', 0xc0000303],
  ['TDX_HPA_RANGE_NOT_FREE', 0xc0000304],
  ['TDX_NO_PAMT_PAGE_PAIR', 0xc0000305],
  ['TDX_PAMT_PAGE_NOT_EMPTY', 0xc0000306],
  ['TDX_MISSING_PAMT_PAGE_PAIR', 0x80000308],
  ['TDX_TD_ASSOCIATED_PAGES_EXIST', 0xc0000400],
  ['TDX_TD_NOT_INITIALIZED', 0xc0000600],
  ['TDX_TD_INITIALIZED', 0xc0000601],
  ['TDX_TD_NOT_FINALIZED', 0xc0000602],
  ['TDX_TD_FINALIZED', 0xc0000603],
  ['TDX_TD_FATAL', 0xe0000604],
  ['TDX_TD_NON_DEBUG', 0xc0000605],
  ['TDX_TDCS_NOT_ALLOCATED', 0xc0000606],
  ['TDX_LIFECYCLE_STATE_INCORRECT', 0xc0000607],
  ['TDX_OP_STATE_INCORRECT', 0xc0000608],
  ['TDX_NO_VCPUS', 0xc0000609],
  ['TDX_TDCX_NUM_INCORRECT', 0xc0000610],
  ['TDX_VCPU_STATE_INCORRECT', 0xc0000700],
  ['TDX_TDVPX_NUM_INCORRECT', 0xc0000703],
  ['TDX_VCPU_ASSOCIATED', 0x80000701],
  ['TDX_VCPU_NOT_ASSOCIATED', 0x80000702],
  ['TDX_MAX_VCPUS_EXCEEDED', 0xc0000705],
  ['TDX_X2APIC_ID_NOT_UNIQUE', 0xc0000621],
  ['TDX_KEY_GENERATION_FAILED', 0x80000800],
  ['TDX_TD_KEYS_NOT_CONFIGURED', 0x80000810],
  ['TDX_KEY_CONFIGURED', 0x00000815],
  ['TDX_WBCACHE_NOT_COMPLETE', 0x80000817],
  ['TDX_HKID_NOT_FREE', 0xc0000820],
  ['TDX_NO_HKID_READY_TO_WBCACHE', 0x00000821],
  ['TDX_WBCACHE_RESUME_ERROR', 0xc0000823],
  ['TDX_FLUSHVP_NOT_DONE', 0x80000824],
  ['TDX_LIMIT_CPUID_MAXVAL_SET', 0xc0000901],
  ['TDX_CPUID_LEAF_1F_FORMAT_UNRECOGNIZED', 0xc0000904],
  ['TDX_INCONSISTENT_MSR', 0xc0000920],
  ['TDX_EPT_WALK_FAILED', 0xc0000b00],
  ['TDX_EPT_ENTRY_FREE', 0xc0000b01],
  ['TDX_EPT_ENTRY_NOT_FREE', 0xc0000b02],
  ['TDX_EPT_ENTRY_NOT_PRESENT', 0xc0000b03],
  ['TDX_EPT_ENTRY_NOT_LEAF', 0xc0000b04],
  ['TDX_EPT_ENTRY_LEAF', 0xc0000b05],
  ['TDX_GPA_RANGE_NOT_BLOCKED', 0xc0000b06],
  ['TDX_GPA_RANGE_ALREADY_BLOCKED', 0x00000b07],
  ['TDX_TLB_TRACKING_NOT_DONE', 0xc0000b08],
  ['TDX_EPT_INVALID_PROMOTE_CONDITIONS', 0xc0000b09],
  ['TDX_PAGE_ALREADY_ACCEPTED', 0x00000b0a],
  ['TDX_PAGE_SIZE_MISMATCH', 0xc0000b0b],
  ['TDX_EPT_ENTRY_STATE_INCORRECT', 0xc0000b0d],
  ['TDX_EPT_PAGE_NOT_FREE', 0xc0000b0e],
  ['TDX_INTERRUPTED_RESUMABLE', 0x80000003],
  ['TDX_INTERRUPTED_RESTARTABLE', 0x80000004],
  ['TDX_METADATA_FIELD_ID_INCORRECT', 0xc0000c00],
  ['TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT', 0x00000c0b],
  /**
   * Not a status of the ABI: TDH.VP.ENTER returns a VMX exit reason in RAX, as if the vCPU had
   * entered and left the TD.
   */
  ['VMEXIT_EPT_VIOLATION', 0x00000000],
  /** Not a status of the ABI: the module halted the platform (a failed internal check, UD2). */
  ['MODULE_HALT', 0xffffffff],
  /** Statuses of module 1.0 whose name or number is another one's in 1.5. */
  ['TDX_TD_FATAL', 0xc0000604],
  ['TDX_BOOT_NT4_SET', 0xc0000901],
  ['TDX_NON_RECOVERABLE_TD_FATAL', 0x40000005],
  ['TDX_NON_RECOVERABLE_TD', 0x60000002],
  ['TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE', 0x60000005],
] as const;

/** Names of statuses. */
export type StatusName = (typeof CODES)[number][0];

/** The status of that name, without an operand; of two with one name the first. */
const code = (name: StatusName): Status => CODES.findIndex((row) => row[0] === name);
/** The status with that number, of two with one number the last. */
const numbered = (bits: number): Status => CODES.findLastIndex((row) => row[1] === bits);

export const SUCCESS = code('TDX_SUCCESS');
/** The TD exit of a fatal TD; bits 31:0 are the exit reason. */
export const NON_RECOVERABLE_TD_FATAL = code('TDX_NON_RECOVERABLE_TD_FATAL');
/** TD exits at which the TD becomes fatal; bits 31:0 are the exit reason. */
export const NON_RECOVERABLE_TD = code('TDX_NON_RECOVERABLE_TD');
export const NON_RECOVERABLE_TD_NON_ACCESSIBLE = code('TDX_NON_RECOVERABLE_TD_NON_ACCESSIBLE');
export const OPERAND_INVALID = code('TDX_OPERAND_INVALID');
export const OPERAND_ADDR_RANGE_ERROR = code('TDX_OPERAND_ADDR_RANGE_ERROR');
export const OPERAND_BUSY = code('TDX_OPERAND_BUSY');
export const PREVIOUS_TLB_EPOCH_BUSY = code('TDX_PREVIOUS_TLB_EPOCH_BUSY');
export const RND_NO_ENTROPY = code('TDX_RND_NO_ENTROPY');
export const OPERAND_BUSY_HOST_PRIORITY = code('TDX_OPERAND_BUSY_HOST_PRIORITY');
export const PAGE_METADATA_INCORRECT = code('TDX_PAGE_METADATA_INCORRECT');
export const PAGE_NOT_FREE = code('TDX_PAGE_NOT_FREE');
export const HPA_RANGE_NOT_FREE = code('TDX_HPA_RANGE_NOT_FREE');
export const NO_PAMT_PAGE_PAIR = code('TDX_NO_PAMT_PAGE_PAIR');
/** The operand is the page of the pair, 0 or 1, that has an entry in use. */
export const PAMT_PAGE_NOT_EMPTY = code('TDX_PAMT_PAGE_NOT_EMPTY');
export const MISSING_PAMT_PAGE_PAIR = code('TDX_MISSING_PAMT_PAGE_PAIR');
export const TD_ASSOCIATED_PAGES_EXIST = code('TDX_TD_ASSOCIATED_PAGES_EXIST');
export const TD_NOT_INITIALIZED = code('TDX_TD_NOT_INITIALIZED');
export const TD_INITIALIZED = code('TDX_TD_INITIALIZED');
export const TD_NOT_FINALIZED = code('TDX_TD_NOT_FINALIZED');
export const TD_FINALIZED = code('TDX_TD_FINALIZED');
export const TD_FATAL = code('TDX_TD_FATAL');
/** TD_FATAL of module 1.0, whose number is another. */
export const TD_FATAL_1_0 = numbered(0xc0000604);
export const TD_NON_DEBUG = code('TDX_TD_NON_DEBUG');
export const TDCS_NOT_ALLOCATED = code('TDX_TDCS_NOT_ALLOCATED');
export const LIFECYCLE_STATE_INCORRECT = code('TDX_LIFECYCLE_STATE_INCORRECT');
export const OP_STATE_INCORRECT = code('TDX_OP_STATE_INCORRECT');
export const NO_VCPUS = code('TDX_NO_VCPUS');
export const TDCX_NUM_INCORRECT = code('TDX_TDCX_NUM_INCORRECT');
export const VCPU_STATE_INCORRECT = code('TDX_VCPU_STATE_INCORRECT');
export const TDVPX_NUM_INCORRECT = code('TDX_TDVPX_NUM_INCORRECT');
export const VCPU_ASSOCIATED = code('TDX_VCPU_ASSOCIATED');
export const VCPU_NOT_ASSOCIATED = code('TDX_VCPU_NOT_ASSOCIATED');
export const MAX_VCPUS_EXCEEDED = code('TDX_MAX_VCPUS_EXCEEDED');
/** The operand is the x2APIC id, which {@link Call.wideOperand} holds. */
export const X2APIC_ID_NOT_UNIQUE = code('TDX_X2APIC_ID_NOT_UNIQUE');
export const KEY_GENERATION_FAILED = code('TDX_KEY_GENERATION_FAILED');
export const TD_KEYS_NOT_CONFIGURED = code('TDX_TD_KEYS_NOT_CONFIGURED');
export const KEY_CONFIGURED = code('TDX_KEY_CONFIGURED');
export const WBCACHE_NOT_COMPLETE = code('TDX_WBCACHE_NOT_COMPLETE');
export const HKID_NOT_FREE = code('TDX_HKID_NOT_FREE');
export const NO_HKID_READY_TO_WBCACHE = code('TDX_NO_HKID_READY_TO_WBCACHE');
export const WBCACHE_RESUME_ERROR = code('TDX_WBCACHE_RESUME_ERROR');
export const FLUSHVP_NOT_DONE = code('TDX_FLUSHVP_NOT_DONE');
export const LIMIT_CPUID_MAXVAL_SET = code('TDX_LIMIT_CPUID_MAXVAL_SET');
export const BOOT_NT4_SET = code('TDX_BOOT_NT4_SET');
export const CPUID_LEAF_1F_FORMAT_UNRECOGNIZED = code('TDX_CPUID_LEAF_1F_FORMAT_UNRECOGNIZED');
export const INCONSISTENT_MSR = code('TDX_INCONSISTENT_MSR');
export const EPT_WALK_FAILED = code('TDX_EPT_WALK_FAILED');
export const EPT_ENTRY_FREE = code('TDX_EPT_ENTRY_FREE');
export const EPT_ENTRY_NOT_FREE = code('TDX_EPT_ENTRY_NOT_FREE');
export const EPT_ENTRY_NOT_PRESENT = code('TDX_EPT_ENTRY_NOT_PRESENT');
export const EPT_ENTRY_NOT_LEAF = code('TDX_EPT_ENTRY_NOT_LEAF');
export const EPT_ENTRY_LEAF = code('TDX_EPT_ENTRY_LEAF');
export const GPA_RANGE_NOT_BLOCKED = code('TDX_GPA_RANGE_NOT_BLOCKED');
export const GPA_RANGE_ALREADY_BLOCKED = code('TDX_GPA_RANGE_ALREADY_BLOCKED');
export const TLB_TRACKING_NOT_DONE = code('TDX_TLB_TRACKING_NOT_DONE');
export const EPT_INVALID_PROMOTE_CONDITIONS = code('TDX_EPT_INVALID_PROMOTE_CONDITIONS');
export const PAGE_ALREADY_ACCEPTED = code('TDX_PAGE_ALREADY_ACCEPTED');
export const PAGE_SIZE_MISMATCH = code('TDX_PAGE_SIZE_MISMATCH');
export const EPT_ENTRY_STATE_INCORRECT = code('TDX_EPT_ENTRY_STATE_INCORRECT');
export const EPT_PAGE_NOT_FREE = code('TDX_EPT_PAGE_NOT_FREE');
export const INTERRUPTED_RESUMABLE = code('TDX_INTERRUPTED_RESUMABLE');
export const INTERRUPTED_RESTARTABLE = code('TDX_INTERRUPTED_RESTARTABLE');
export const METADATA_FIELD_ID_INCORRECT = code('TDX_METADATA_FIELD_ID_INCORRECT');
export const METADATA_FIRST_FIELD_ID_IN_CONTEXT = code('TDX_METADATA_FIRST_FIELD_ID_IN_CONTEXT');
export const VMEXIT_EPT_VIOLATION = code('VMEXIT_EPT_VIOLATION');
export const MODULE_HALT = code('MODULE_HALT');

/**
 * Operand ids, bits 31:0 of a status: registers, implicit structures, TD_PARAMS fields, and for
 * INCONSISTENT_MSR the MSR's number.
 *
 * Source: intel/tdx-module 1.5.01, include/auto_gen/tdx_error_codes_defs.h: OPERAND_ID_*.
 */
export const OPERANDS = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  IA32_TSC_ADJUST: 0x3b,
  ATTRIBUTES: 64,
  XFAM: 65,
  EXEC_CONTROLS: 66,
  EPTP_CONTROLS: 67,
  MAX_VCPUS: 68,
  CPUID_CONFIG: 69,
  TSC_FREQUENCY: 70,
  NUM_L2_VMS: 71,
  IA32_ARCH_CAPABILITIES_CONFIG: 72,
  TDR: 128,
  SEPT_TREE: 146,
  TD_EPOCH: 169,
  OP_STATE: 172,
  KOT: 186,
  KET: 187,
  WBCACHE: 188,
} as const;

/** A status with the operand that it names. */
export const on = (status: Status, operand: number): Status => status | (operand << 8);

/** The status without its operand. */
export const classOf = (status: Status): Status => status & 0xff;
/** Operand id of a status. */
export const operandOf = (status: Status): number => status >>> 8;

// code() makes every status, so each has a row
const rowOf = (status: Status): (typeof CODES)[number] =>
  CODES[classOf(status)] as (typeof CODES)[number];

/** Name of a status. */
export const statusName = (status: Status): StatusName => rowOf(status)[0];

/** VMX exit reasons that RAX holds instead of a status. */
const EXIT_REASONS = new Map([[VMEXIT_EPT_VIOLATION, 48n]]);

/** Bits 63:0 of RAX. */
export const toRax = (status: Status): bigint =>
  EXIT_REASONS.get(classOf(status)) ??
  (BigInt(rowOf(status)[1]) << 32n) | BigInt(operandOf(status));

const CODE_SHIFT = 32n;
const OPERAND_BITS = 0xffff_ffffn;
/** The largest operand that a status can carry. */
const MAX_OPERAND = 0xffff;

/** The status that RAX holds, or null when it holds none that is specified. */
export function fromRax(rax: bigint): Status | null {
  const status = CODES.findIndex(([, bits]) => BigInt(bits) === rax >> CODE_SHIFT);
  const operand = Number(rax & OPERAND_BITS);
  return status < 0 || operand > MAX_OPERAND ? null : on(status, operand);
}

const OPERAND_NAMES = new Map<number, string>(
  Object.entries(OPERANDS).map(([name, id]) => [id, name]),
);

/** Statuses whose low bits hold a page level, not an operand. */
const CARRIES_LEVEL = new Set([PAGE_ALREADY_ACCEPTED, PAGE_SIZE_MISMATCH]);

/** Name of the operand, or null when the status names none; an MSR has a number only. */
export function operandName(status: Status): string | null {
  if (operandOf(status) === 0 || classOf(status) === INCONSISTENT_MSR) return null;
  return CARRIES_LEVEL.has(classOf(status))
    ? 'LEVEL'
    : (OPERAND_NAMES.get(operandOf(status)) ?? null);
}

/** A status as recordings write it, e.g. `TDX_OPERAND_BUSY|SEPT_TREE`; operand 0 is left out. */
export function describeStatus(status: Status): string {
  const operand = operandOf(status);
  const name = statusName(status);
  if (CARRIES_LEVEL.has(classOf(status))) return `${name}|level ${operand}`;
  return operand === 0 ? name : `${name}|${OPERAND_NAMES.get(operand) ?? operand}`;
}

/** Whether RAX bit 63 is clear: the call did what it should, or found it done already. */
export const isSuccessClass = (status: Status): boolean => toRax(status) >> 63n === 0n;
