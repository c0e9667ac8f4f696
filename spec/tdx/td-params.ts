/**
 * TD_PARAMS, the configuration that TDH.MNG.INIT takes: its checks, in the module's order, and the
 * fields of the TD that it sets.
 *
 * XFAM supports 0x1a07, CPUID leaf 0x1F has the levels SMT and core, and no CPUID bit of leaf 1 and
 * no bit of IA32_ARCH_CAPABILITIES is configurable, as on the platform of the life-cycle
 * recordings.
 *
 * Source: intel/tdx-module 1.5.01 and 1.0.03, src/vmm_dispatcher/api_calls/tdh_mng_init.c:
 * read_and_set_td_configurations(), read_and_set_cpuid_configurations(), tdh_mng_init(); ABI
 * Reference 348551, TD_PARAMS; docs/module-notes.md#life-cycle.
 */
import { OTHER_FIELDS, type TdParams } from './call.ts';
import * as S from './status.ts';
import { MAX_L2_VMS, TD } from './td.ts';
import type { VersionData } from './version.ts';

const bit = (n: number): bigint => 1n << BigInt(n);

/** Bits of ATTRIBUTES. */
export const ATTRIBUTES = {
  DEBUG: bit(0),
  LASS: bit(27),
  SEPT_VE_DISABLE: bit(28),
  MIGRATABLE: bit(29),
  PKS: bit(30),
  PERFMON: bit(63),
} as const;
const { DEBUG, SEPT_VE_DISABLE, MIGRATABLE, PERFMON } = ATTRIBUTES;

const XFAM_ALLOWED = 0x1a07n;
/** x87 and SSE are always enabled. */
const XFAM_REQUIRED = 0x3n;
/** User and supervisor CET are enabled together. */
const XFAM_CET = 0x1800n;

const GPAW = bit(0);
/** GPAW, FLEXIBLE_PENDING_VE, NO_RBP_MOD. */
const CONFIG_FLAGS_ALLOWED = 0x7n;

/** EPTP_CONTROLS: memory type write-back; number of levels minus one in bits 5:3. */
const EPTP_4_LEVELS = 0x1en;
const EPTP_5_LEVELS = 0x26n;

/** In units of 25 MHz. */
const TSC_FREQUENCIES = { lowest: 4, highest: 400 } as const;

/** A production TD with one vCPU: #VE on access to a pending page, a 4-level Secure EPT. */
export const PLAIN_TD_PARAMS: TdParams = {
  attributes: 0n,
  xfam: 3n,
  maxVcpus: 1,
  numL2Vms: 0,
  msrConfigCtls: 0,
  eptpControls: EPTP_4_LEVELS,
  configFlags: 0n,
  tscFrequency: 100,
  archCapConfig: 0n,
  reservedNonZero: 0,
  cpuidConfig: 0,
};

/** IA32_ARCH_CAPABILITIES is virtualised by configuration; all other bits are reserved. */
const MSR_CONFIG_CTLS_ALLOWED = 1;

/**
 * `cpuidConfig` for a family, model or stepping that is not the platform's; 1 is for a bit that is
 * not configurable.
 */
const OTHER_FMS = 2;

/** Leaf 1 without a sub-leaf, as RCX reports it. */
export const CPUID_CONFIG_LEAF = 0xffff_ffff_0000_0001n;

/** The state that the checks depend on besides TD_PARAMS. */
export interface InitContext {
  readonly version: VersionData;
  readonly numTdcx: number;
  /** IA32_TSC_ADJUST has changed since the module started. */
  readonly tscAdjustChanged: boolean;
}

const has = (bits: bigint, wanted: bigint): boolean => (bits & wanted) !== 0n;

const areBadAttributes = ({ attributes }: TdParams, { version }: InitContext): boolean =>
  has(attributes, ~version.attributes) ||
  (has(attributes, MIGRATABLE) && has(attributes, DEBUG | PERFMON));

const isBadXfam = ({ xfam }: TdParams): boolean =>
  has(xfam, ~XFAM_ALLOWED) ||
  has(~xfam, XFAM_REQUIRED) ||
  (has(xfam, XFAM_CET) && has(~xfam, XFAM_CET));

const areBadEptpControls = ({ eptpControls, configFlags }: TdParams): boolean =>
  eptpControls !== EPTP_5_LEVELS && (eptpControls !== EPTP_4_LEVELS || has(configFlags, GPAW));

const isBadCpuidConfig = ({ cpuidConfig, attributes }: TdParams): boolean =>
  cpuidConfig === OTHER_FMS ? !has(attributes, MIGRATABLE) : cpuidConfig !== 0;

/** Level types of CPUID leaf 0x1F; from the last one on they are unknown. */
const NO_LEVEL = 0;
const SMT = 1;
const CORE = 2;
const UNKNOWN_LEVEL = 6;
/** Number of sub-leaves of CPUID leaf 0x1F. */
const SUB_LEAVES = 6;
const LEVEL_TYPE = OTHER_FIELDS - 1;
const PLATFORM_TOPOLOGY: readonly number[] = [SMT, CORE];

/**
 * Whether level types rise from sub-leaf to sub-leaf, and the core is among them before they end;
 * what follows the end starts over. Sub-leaves that are all zero are replaced by the platform's.
 *
 * Source: tdx-module 1.5.05, src/common/helpers/helpers.c: check_cpuid_1f().
 */
function isTopology(configured: readonly number[]): boolean {
  const isNull = (configured[0] ?? 0) === 0;
  if (isNull && configured.some((value) => value !== 0)) return false;
  const values = isNull ? PLATFORM_TOPOLOGY : configured;
  let previous = NO_LEVEL;
  let hasCore = false;
  for (let i = 0; i < SUB_LEAVES; i++) {
    const level = (values[i] ?? 0) & LEVEL_TYPE;
    if (level === NO_LEVEL) {
      if (!hasCore) return false;
    } else if (level <= previous || level >= UNKNOWN_LEVEL) return false;
    hasCore ||= level === CORE;
    previous = level;
  }
  return true;
}

const invalid = (operand: keyof typeof S.OPERANDS): S.Status =>
  S.on(S.OPERAND_INVALID, S.OPERANDS[operand]);

type Refused = (params: TdParams, context: InitContext) => boolean;
/** A check of TD_PARAMS: the status if it refuses them. */
export type TdParamsCheck = readonly [S.Status, Refused];

const reserved = (which: number): TdParamsCheck => [
  invalid('RDX'),
  (p) => p.reservedNonZero === which,
];

/** The checks that several versions make. */
const CHECK_ATTRIBUTES: TdParamsCheck = [invalid('ATTRIBUTES'), areBadAttributes];
const CHECK_XFAM: TdParamsCheck = [invalid('XFAM'), isBadXfam];
const CHECK_MAX_VCPUS: TdParamsCheck = [
  invalid('MAX_VCPUS'),
  (p, { version }) => p.maxVcpus === 0 || p.maxVcpus > version.maxVcpus,
];
const CHECK_TSC_FREQUENCY: TdParamsCheck = [
  invalid('TSC_FREQUENCY'),
  ({ tscFrequency: f }) => f < TSC_FREQUENCIES.lowest || f > TSC_FREQUENCIES.highest,
];
const CHECK_TSC_ADJUST: TdParamsCheck = [
  S.on(S.INCONSISTENT_MSR, S.OPERANDS.IA32_TSC_ADJUST),
  (_, { tscAdjustChanged }) => tscAdjustChanged,
];
const CHECK_CPUID: TdParamsCheck = [invalid('CPUID_CONFIG'), isBadCpuidConfig];
const CHECK_TOPOLOGY: TdParamsCheck = [
  S.CPUID_LEAF_1F_FORMAT_UNRECOGNIZED,
  ({ topology = [] }) => !isTopology(topology),
];

/** The checks of 1.5. */
export const TD_PARAMS_1_5: readonly TdParamsCheck[] = [
  CHECK_ATTRIBUTES,
  CHECK_XFAM,
  CHECK_MAX_VCPUS,
  [invalid('NUM_L2_VMS'), (p) => p.numL2Vms > MAX_L2_VMS],
  [S.TDCS_NOT_ALLOCATED, (p, { version, numTdcx }) => numTdcx < version.tdcx.min + p.numL2Vms],
  reserved(1),
  [invalid('EXEC_CONTROLS'), (p) => has(p.configFlags, ~CONFIG_FLAGS_ALLOWED)],
  [invalid('EPTP_CONTROLS'), areBadEptpControls],
  CHECK_TSC_FREQUENCY,
  CHECK_TSC_ADJUST,
  reserved(2),
  [invalid('RDX'), (p) => (p.msrConfigCtls & ~MSR_CONFIG_CTLS_ALLOWED) !== 0],
  reserved(3),
  CHECK_CPUID,
  reserved(4),
  [invalid('IA32_ARCH_CAPABILITIES_CONFIG'), (p) => p.archCapConfig !== 0n],
  [invalid('RDX'), (p) => has(p.attributes, MIGRATABLE) && p.numL2Vms > 0],
];

/** The checks of 1.5.05, which looks at the topology after all other leaves. */
export const TD_PARAMS_1_5_05: readonly TdParamsCheck[] = TD_PARAMS_1_5.flatMap((check) =>
  check === CHECK_CPUID ? [check, CHECK_TOPOLOGY] : [check],
);

/** The checks of 1.0, which has neither L2 VMs nor configurable MSRs. */
export const TD_PARAMS_1_0: readonly TdParamsCheck[] = [
  CHECK_ATTRIBUTES,
  CHECK_XFAM,
  CHECK_MAX_VCPUS,
  reserved(1),
  [
    invalid('EPTP_CONTROLS'),
    (p) => p.eptpControls !== EPTP_5_LEVELS && p.eptpControls !== EPTP_4_LEVELS,
  ],
  [
    invalid('EXEC_CONTROLS'),
    (p) =>
      has(p.configFlags, ~GPAW) || (p.configFlags === GPAW && p.eptpControls === EPTP_4_LEVELS),
  ],
  CHECK_TSC_FREQUENCY,
  CHECK_TSC_ADJUST,
  reserved(2),
  reserved(3),
  CHECK_CPUID,
  reserved(4),
];

/** The status of the first check that TD_PARAMS fails, or SUCCESS. */
export const checkTdParams = (params: TdParams, context: InitContext): S.Status =>
  context.version.tdParamsChecks.find(([, refused]) => refused(params, context))?.[0] ?? S.SUCCESS;

/** The two words of a 64-bit field. */
const words = (field: number, value: bigint): [number, number][] => [
  [field, Number(BigInt.asIntN(32, value))],
  [field + 1, Number(BigInt.asIntN(32, value >> 32n))],
];

/** The TDCS of an initialised TD, as fields and values. */
export const fieldsOf = (params: TdParams): readonly (readonly [number, number])[] => [
  [TD.NUM_VCPUS, 0],
  [TD.NUM_ASSOC_VCPUS, 0],
  [TD.TD_EPOCH, 1],
  [TD.REFCOUNT_EVEN, 0],
  [TD.REFCOUNT_ODD, 0],
  [TD.MAX_VCPUS, params.maxVcpus],
  [TD.NUM_L2_VMS, params.numL2Vms],
  [TD.DEBUG, has(params.attributes, DEBUG) ? 1 : 0],
  [TD.SEPT_VE_DISABLE, has(params.attributes, SEPT_VE_DISABLE) ? 1 : 0],
  [TD.GPAW, has(params.configFlags, GPAW) ? 1 : 0],
  [TD.ROOT_LEVEL, params.eptpControls === EPTP_5_LEVELS ? 4 : 3],
  ...words(TD.ATTRIBUTES, params.attributes),
  ...words(TD.XFAM, params.xfam),
];
