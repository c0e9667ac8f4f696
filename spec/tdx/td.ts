/**
 * The control structures of a TD and of its vCPUs, as words of the pages that hold them: TDR and
 * TDCS fields on the TDR page, TDVPS fields on the TDVPR page. A structure is named by the number
 * of its page.
 *
 * (In hardware the TDCS fields lie on the TDCX pages; they are reached only through the TDR, so the
 * difference shows nowhere except that TDCS fields are meaningful from the sixth TDCX page on.)
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
  /** Three words that MR.FINALIZE closes the build-time measurement with. */
  MEASUREMENT: 24,
  /** 64-bit fields of TD_PARAMS, low word first. */
  ATTRIBUTES: 28,
  XFAM: 30,
} as const;

/** Words of the TDVPR page. */
export const VP = {
  STATE: 0,
  /** LP the vCPU is associated with, plus one; 0 is "not associated". */
  ASSOC_LPID: 1,
  VCPU_EPOCH: 2,
  VCPU_INDEX: 3,
  NUM_PAGES: 4,
  /** Page number of the TDR. */
  TDR: 5,
  /** Counts the guest's progress: changes when the guest RIP does. */
  RIP: 6,
  /**
   * Zero-step mitigation: RIP at the last VP.ENTER, how many EPT violations were counted, how many
   * GPAs are listed.
   */
  RIP_AT_ENTRY: 8,
  VIOLATIONS: 9,
  LISTED: 10,
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

/** A set of OP_STATEs, for the guard lines of the functions. */
export const opStates = (...states: number[]): number =>
  states.reduce((mask, s) => mask | (1 << s), 0);
export const IN_INITIALIZED = opStates(INITIALIZED);
export const IN_RUNNABLE = opStates(RUNNABLE);
export const IN_BUILD_OR_RUN = opStates(INITIALIZED, RUNNABLE);
export const IN_UNINITIALIZED = opStates(UNINITIALIZED);

/**
 * TDVPS.STATE. A vCPU that is ACTIVE keeps its TDVPR (with PAMT parents) and its TDR's PAMT entry
 * locked, shared.
 */
export const VCPU_UNINITIALIZED = 0;
export const VCPU_READY = 2;
export const VCPU_ACTIVE = 4;

/** TDCX pages that a TDCS needs; one more for each L2 VM. */
export const MIN_TDCX = 6;
export const MAX_TDCX = 9;
/** How many TDCX pages come before the one that is the S-EPT root. */
export const ROOT_TDCX = 3;
export const MAX_L2_VMS = 3;
/** Pages of a vCPU, the TDVPR included: without L2 VMs, for each L2 VM, and at most. */
export const MIN_TDVPS_PAGES = 6;
export const TDVPS_PAGES_PER_L2_VM = 3;
export const MAX_TDVPS_PAGES = 15;

/** Which REFCOUNT counts the vCPUs that entered in `epoch`. */
export const refcountOf = (epoch: number): number =>
  (epoch & 1) === 0 ? TD.REFCOUNT_EVEN : TD.REFCOUNT_ODD;
