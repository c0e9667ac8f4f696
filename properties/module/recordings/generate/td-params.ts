/** TD_PARAMS for TDH.MNG.INIT: usual, other valid, and invalid ones. */
type Params = Readonly<Record<string, string | number>>;

export const USUAL_TD_PARAMS: Params = {
  attributes: '0x10000001',
  xfam: '0x3',
  maxVcpus: 2,
  numL2Vms: 0,
  msrConfigCtls: 0,
  eptpControls: '0x1e',
  configFlags: '0x0',
  tscFrequency: 100,
  archCapConfig: '0x0',
  reservedNonZero: 0,
  cpuidConfig: 0,
};

/** Other valid parameters. */
export const VALID_TD_PARAMS: readonly Params[] = [
  { xfam: '0x7' },
  { maxVcpus: 1 },
  { maxVcpus: 3 },
  { eptpControls: '0x26' },
  { attributes: '0x20000000' },
  { eptpControls: '0x26', configFlags: '0x1' },
  { numL2Vms: 1 },
];

/** Invalid parameters: a note that says what is wrong, and the fields. */
export const INVALID_TD_PARAMS: readonly (readonly [note: string, fields: Params])[] = [
  ['ATTRIBUTES reserved bits', { attributes: '0x10010000001' }],
  ['MIGRATABLE+DEBUG', { attributes: '0x30000001' }],
  ['XFAM without SSE', { xfam: '0x1' }],
  ['XFAM reserved bits', { xfam: '0x10000000003' }],
  ['no VCPUs', { maxVcpus: 0 }], // as recordings spell it
  ['too many L2 VMs', { numL2Vms: 4 }],
  ['more L2 VMs than TDCX pages', { numL2Vms: 3 }],
  ['MIGRATABLE with L2 VMs', { attributes: '0x20000000', numL2Vms: 1 }],
  ['TD_PARAMS reserved field non-zero', { reservedNonZero: 1 }],
  ['TD_PARAMS reserved field non-zero', { reservedNonZero: 2 }],
  ['TD_PARAMS reserved field non-zero', { reservedNonZero: 3 }],
  ['TD_PARAMS reserved field non-zero', { reservedNonZero: 4 }],
  ['CONFIG_FLAGS reserved bits', { configFlags: '0x20' }],
  ['GPAW=1 with 4-level EPT', { configFlags: '0x1' }],
  ['EPTP_CONTROLS memory type', { eptpControls: '0x1d' }],
  ['EPTP_CONTROLS 3 levels', { eptpControls: '0x16' }],
  ['TSC_FREQUENCY too low', { tscFrequency: 3 }],
  ['TSC_FREQUENCY too high', { tscFrequency: 401 }],
  ['MSR_CONFIG_CTLS reserved bits', { msrConfigCtls: 2 }],
  ['CPUID bits that are not configurable', { cpuidConfig: 1 }],
  ['virtual FMS differs, TD not migratable', { cpuidConfig: 2 }],
  ['IA32_ARCH_CAPABILITIES not configurable', { archCapConfig: '0x1' }],
];
