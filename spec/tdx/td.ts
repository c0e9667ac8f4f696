/**
 * The control structures of a TD and of its vCPUs, as words of the pages that hold them: TDR and
 * TDCS fields on the TDR page, TDVPS fields on the TDVPR page. The number of its page names a
 * structure.
 *
 * In hardware the TDCS fields are on the TDCX pages, which are reached only through the TDR. The
 * difference is visible only in that TDCS fields are meaningful from the sixth TDCX page on.
 *
 * Source: intel/tdx-module 1.5.01, src/common/data_structures/td_control_structures.h: tdr_t,
 * tdcs_t; src/common/data_structures/tdx_tdvps.h: tdvps_t; docs/module-notes.md#life-cycle.
 */

/** Words of the TDR page. */
export const TD = {
  LIFECYCLE: 0,
  FATAL: 1,
  HKID: 2,
  CHLDCNT: 3,
  NUM_TDCX: 4,
  PKG_CONFIG_BITMAP: 5,
  /** Page number of the S-EPT root (the fourth TDCX page). */
  SEPT_ROOT: 6,
  OP_STATE: 8,
  OP_STATE_LOCK: 9,
  SEPT_LOCK: 10,
  EPOCH_LOCK: 11,
  TD_EPOCH: 12,
  REFCOUNT_EVEN: 13,
  REFCOUNT_ODD: 14,
  NUM_VCPUS: 16,
  NUM_ASSOC_VCPUS: 17,
  MAX_VCPUS: 18,
  NUM_L2_VMS: 19,
  DEBUG: 20,
  SEPT_VE_DISABLE: 21,
  /** 1: the SHARED bit of a GPA is bit 51, else 47. */
  GPAW: 22,
  /** Level of the root's entries: 3 (4-level S-EPT) or 4 (5-level). */
  ROOT_LEVEL: 23,
  /** Three words with which MR.FINALIZE closes the build-time measurement. */
  MEASUREMENT: 24,
  /** 64-bit fields of TD_PARAMS, low word first. */
  ATTRIBUTES: 28,
  XFAM: 30,
  /** x2APIC ids by vCPU index, 0 where none was given: the rest of the page. */
  X2APIC_IDS: 32,
} as const;

/** Words of the TDVPR page. */
export const VP = {
  STATE: 0,
  /** The LP that the vCPU is associated with, plus one; 0 is "not associated". */
  ASSOC_LPID: 1,
  VCPU_EPOCH: 2,
  VCPU_INDEX: 3,
  NUM_PAGES: 4,
  /** Page number of the TDR. */
  TDR: 5,
  /** A counter that changes whenever the guest RIP does. */
  RIP: 6,
  /** Whether the vCPU has entered since it was associated, and when it last left: see vcpu.ts. */
  LAUNCHED: 7,
  /** Zero-step mitigation: RIP at the last VP.ENTER, EPT violations counted, GPAs listed. */
  RIP_AT_ENTRY: 8,
  VIOLATIONS: 9,
  LISTED: 10,
  LAST_EXIT_TSC: 11,
  /** The HKID of the TD when the vCPU was last associated. */
  ASSOC_HKID: 12,
  /** 32 entries of two words: GFN bits 29:0 and GFN bits 51:30. */
  GPA_LIST: 16,
} as const;

export const MAX_LISTED = 32;

/** TDR.LIFECYCLE_STATE. */
export const LIFECYCLES = ['HKID_ASSIGNED', 'KEYS_CONFIGURED', 'BLOCKED', 'TEARDOWN'] as const;
export const HKID_ASSIGNED = 0;
export const KEYS_CONFIGURED = 1;
export const TD_BLOCKED = 2;
export const TEARDOWN = 3;

/** TDCS.OP_STATE; the migration states are out of scope. */
export const OP_STATES = ['UNINITIALIZED', 'INITIALIZED', 'RUNNABLE'] as const;
export const UNINITIALIZED = 0;
export const INITIALIZED = 1;
export const RUNNABLE = 2;

/** A set of OP_STATEs, for the checks of the functions. */
export const opStates = (...states: number[]): number =>
  states.reduce((mask, s) => mask | (1 << s), 0);
export const IN_INITIALIZED = opStates(INITIALIZED);
export const IN_RUNNABLE = opStates(RUNNABLE);
export const IN_BUILD_OR_RUN = opStates(INITIALIZED, RUNNABLE);
export const IN_UNINITIALIZED = opStates(UNINITIALIZED);

/**
 * TDVPS.STATE. An ACTIVE vCPU holds its TDVPR (with PAMT parents) and its TDR's PAMT entry locked,
 * shared.
 */
export const VCPU_UNINITIALIZED = 0;
export const VCPU_READY = 2;
export const VCPU_ACTIVE = 4;

/** Number of TDCX pages of a TDCS; one more for each L2 VM. */
export const MIN_TDCX = 6;
export const MAX_TDCX = 9;
/** Number of TDCX pages before the one that is the S-EPT root. */
export const ROOT_TDCX = 3;
export const MAX_L2_VMS = 3;
/** Number of pages of a vCPU, its TDVPR included: without L2 VMs, for each L2 VM, and at most. */
export const MIN_TDVPS_PAGES = 6;
export const TDVPS_PAGES_PER_L2_VM = 3;
export const MAX_TDVPS_PAGES = 15;

/** The field of the REFCOUNT that counts the vCPUs which entered in `epoch`. */
export const refcountOf = (epoch: number): number =>
  (epoch & 1) === 0 ? TD.REFCOUNT_EVEN : TD.REFCOUNT_ODD;
