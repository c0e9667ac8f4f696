/**
 * TD_PARAMS, the configuration that TDH.MNG.INIT takes: its checks, in the module's order, and the
 * fields of the TD that it sets.
 *
 * XFAM supports 0x1a07, and no CPUID bit of leaf 1 and no bit of IA32_ARCH_CAPABILITIES is
 * configurable, as on the platform of the life-cycle recordings.
 *
 * Source: intel/tdx-module 1.5.01, src/vmm_dispatcher/api_calls/tdh_mng_init.c:
 * read_and_set_td_configurations(), read_and_set_cpuid_configurations(), tdh_mng_init(); ABI
 * Reference 348551, TD_PARAMS; docs/module-notes.md#life-cycle.
 */
import type { TdParams } from './call.ts';
import * as S from './status.ts';
import { MAX_L2_VMS, MIN_TDCX, TD } from './td.ts';
import type { VersionData } from './version.ts';

const bit = (n: number): bigint => 1n << BigInt(n);

const DEBUG = bit(0);
const SEPT_VE_DISABLE = bit(28);
const MIGRATABLE = bit(29);
const PKS = bit(30);
const PERFMON = bit(63);
/** Bits that every version accepts. */
const ATTRIBUTES_ALLOWED = DEBUG | SEPT_VE_DISABLE | MIGRATABLE | PKS | PERFMON;

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
  has(attributes, ~(ATTRIBUTES_ALLOWED | version.attributes)) ||
  (has(attributes, MIGRATABLE) && has(attributes, DEBUG | PERFMON));

const isBadXfam = ({ xfam }: TdParams): boolean =>
  has(xfam, ~XFAM_ALLOWED) ||
  has(~xfam, XFAM_REQUIRED) ||
  (has(xfam, XFAM_CET) && has(~xfam, XFAM_CET));

const areBadEptpControls = ({ eptpControls, configFlags }: TdParams): boolean =>
  eptpControls !== EPTP_5_LEVELS && (eptpControls !== EPTP_4_LEVELS || has(configFlags, GPAW));

const isBadCpuidConfig = ({ cpuidConfig, attributes }: TdParams): boolean =>
  cpuidConfig === OTHER_FMS ? !has(attributes, MIGRATABLE) : cpuidConfig !== 0;

const invalid = (operand: keyof typeof S.OPERANDS): S.Status =>
  S.on(S.OPERAND_INVALID, S.OPERANDS[operand]);

type Refused = (params: TdParams, context: InitContext) => boolean;

const reserved = (which: number): readonly [S.Status, Refused] => [
  invalid('RDX'),
  (p) => p.reservedNonZero === which,
];

const CHECKS: readonly (readonly [S.Status, Refused])[] = [
  [invalid('ATTRIBUTES'), areBadAttributes],
  [invalid('XFAM'), isBadXfam],
  [invalid('MAX_VCPUS'), (p, { version }) => p.maxVcpus === 0 || p.maxVcpus > version.maxVcpus],
  [invalid('NUM_L2_VMS'), (p) => p.numL2Vms > MAX_L2_VMS],
  [S.TDCS_NOT_ALLOCATED, (p, { numTdcx }) => numTdcx < MIN_TDCX + p.numL2Vms],
  reserved(1),
  [invalid('EXEC_CONTROLS'), (p) => has(p.configFlags, ~CONFIG_FLAGS_ALLOWED)],
  [invalid('EPTP_CONTROLS'), areBadEptpControls],
  [
    invalid('TSC_FREQUENCY'),
    ({ tscFrequency: f }) => f < TSC_FREQUENCIES.lowest || f > TSC_FREQUENCIES.highest,
  ],
  [
    S.on(S.INCONSISTENT_MSR, S.OPERANDS.IA32_TSC_ADJUST),
    (_, { tscAdjustChanged }) => tscAdjustChanged,
  ],
  reserved(2),
  [invalid('RDX'), (p) => (p.msrConfigCtls & ~MSR_CONFIG_CTLS_ALLOWED) !== 0],
  reserved(3),
  [invalid('CPUID_CONFIG'), isBadCpuidConfig],
  reserved(4),
  [invalid('IA32_ARCH_CAPABILITIES_CONFIG'), (p) => p.archCapConfig !== 0n],
  [invalid('RDX'), (p) => has(p.attributes, MIGRATABLE) && p.numL2Vms > 0],
];

/** The status of the first check that TD_PARAMS fails, or SUCCESS. */
export const checkTdParams = (params: TdParams, context: InitContext): S.Status =>
  CHECKS.find(([, refused]) => refused(params, context))?.[0] ?? S.SUCCESS;

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
