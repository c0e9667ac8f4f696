/** What each field of a version means, by topic. A field without a row does not compile. */
import type { VersionData } from '../../../spec/tdx/versions/index.ts';
import * as V from './values.ts';

export const TOPICS = [
  'Calls',
  'Locks',
  'Entries',
  'Statuses',
  'TLB tracking',
  'PAMT',
  'Interrupts',
  'Life cycle',
  'Guest side',
] as const;

type Show = (version: VersionData) => string;

interface FieldRow {
  readonly topic: (typeof TOPICS)[number];
  /** One line. */
  readonly meaning: string;
  /** The value as text; absent where {@link V.plainValue} is enough. */
  readonly show?: Show;
}

type Row = (meaning: string, show?: Show) => FieldRow;
const rowsOf =
  (topic: FieldRow['topic']): Row =>
  (meaning, show) => ({ topic, meaning, ...(show === undefined ? {} : { show }) });

const calls = rowsOf('Calls');
const locks = rowsOf('Locks');
const entries = rowsOf('Entries');
const statuses = rowsOf('Statuses');
const tracking = rowsOf('TLB tracking');
const pamt = rowsOf('PAMT');
const interrupts = rowsOf('Interrupts');
const life = rowsOf('Life cycle');
const guest = rowsOf('Guest side');

const ROWS = {
  name: calls('full name'),
  family: calls('name that stands for the newest version of the family'),
  functions: calls('functions that the newest version has in another form', V.functionsText),
  versionedCalls: calls('calls have versions; else a version is an invalid operand'),
  vpInitVersion: calls('newest version of VP.INIT; 1 has an x2APIC id'),
  tdrFlags: calls('highest flags beside the TDR of SEPT.RD and DEMOTE'),
  enterFlags: calls('highest flags beside the TDVPR of VP.ENTER'),

  septLocks: locks('locks of the Secure EPT: S shared, X exclusive', V.lockTableText),
  locksOpState: locks('calls lock OP_STATE, shared'),
  hostPriority: locks('a host that is refused a lock goes before guests'),
  unblockLocksPage: locks('UNBLOCK locks the PAMT entry of the page'),
  largeAccessDropsTree: locks('MEM.RD and MEM.WR release the tree early for a large page'),
  activeBeforeTreeRelease: locks(
    'VP.ENTER with an armed filter is ACTIVE before it drops the tree',
  ),

  encoding: entries('form of an entry; its states are below', V.encodingText),
  mergeable: entries('states that PROMOTE merges', (v) => V.statesText(v.mergeable)),
  demoteNeedsBlock: entries('DEMOTE in a TD that can run needs a blocked, tracked page'),
  blockedTablesHide: entries('a blocked table stops the walks of host calls as well'),
  blockCoversBelow: entries('what is below a blocked table counts as blocked'),
  accessChecksGpaFirst: entries('MEM.RD and MEM.WR check the GPA before they lock the tree'),
  relocateReturnsPage: entries('RELOCATE returns the old page'),

  entryChecks: statuses('wrong state of an entry', V.checksText),
  reporting: statuses('statuses that report the entry in RCX and RDX', V.reportingText),
  noLeaf: statuses('MEM.RD, MEM.WR and MR.EXTEND find no leaf', (v) => V.statusText(v.noLeaf)),
  tableNotEmpty: statuses('SEPT.REMOVE of a full table', (v) => V.statusText(v.tableNotEmpty)),
  fatal: statuses('call on a fatal TD', (v) => V.statusText(v.fatal)),
  opStateStatuses: statuses('wrong OP_STATE', V.opStateText),
  limitedCpuid: statuses('CPUID is limited', (v) => V.statusText(v.limitedCpuid)),

  tracksWhileBuilding: tracking('blocking and tracking are required while a TD is built as well'),
  trackingNamesTree: tracking('functions whose TLB_TRACKING_NOT_DONE names SEPT_TREE, not RCX'),
  haltsAtLastEpoch: tracking('TRACK halts when TD_EPOCH reaches 2^63 - 1'),
  bepochHasFlag: tracking('bit 63 of BEPOCH marks a page that is never tracked'),

  resetsBepoch: pamt('a new page gets BEPOCH 0; else it keeps that of its last use'),
  clearsRemovedTable: pamt('SEPT.REMOVE clears owner and BEPOCH of the page'),
  assignsStructuresTwice: pamt('a control structure gets type and owner in two writes'),
  resizesPamtAtOnce: pamt('PROMOTE and DEMOTE write type and owner at once'),
  demoteCountsFirst: pamt('DEMOTE counts the new page before it writes its PAMT entry'),
  dynamicPamt: pamt('the host adds the pages that hold the entries of 4K pages, for ranges of 2M'),

  interruptible: interrupts('functions that a pending interrupt ends before they commit'),

  tdcx: life('pages of a TD', V.tdcxText),
  tdvps: life('pages of a vCPU', V.tdvpsText),
  addcxChecksFirst: life('MNG.ADDCX checks OP_STATE before the page'),
  needsEntropy: life('MNG.CREATE and MNG.ADDCX need entropy'),
  finalizeNeedsVcpu: life('MR.FINALIZE requires a vCPU'),
  measurementWrites: life('writes with which MR.FINALIZE closes the measurement'),
  tdParamsChecks: life('checks of MNG.INIT, by operand or status, in order', V.paramsText),
  maxVcpus: life('highest MAX_VCPUS of MNG.INIT'),
  attributes: life('ATTRIBUTES that MNG.INIT accepts', V.attributesText),

  writesVcpuHistory: guest('a vCPU notes its first entry and the time of its last exit in steps'),
  filterIgnoresVe: guest('a pending page that is a #VE is no fault for zero-step mitigation'),
  exitResetsFilter: guest('a TD exit at another RIP clears the list of zero-step mitigation'),
  fatalExits: guest('exit of a fatal TD: the vCPU stays ACTIVE and counted'),
  restoreFault: guest('VP.ENTER cannot restore the state of the guest', V.restoreFaultText),
  reportsPending: guest('the EPT violation of an access reports a pending page'),
  acceptIsWrite: guest('the exit of an ACCEPT has the qualification of a write'),
} satisfies Record<keyof VersionData, FieldRow>;

export interface FieldText {
  readonly field: keyof VersionData;
  readonly topic: (typeof TOPICS)[number];
  readonly meaning: string;
  /** The value in each of the given versions. */
  readonly values: readonly string[];
}

/** Every field of the versions, in the order of its topic. */
export const fieldTexts = (versions: readonly VersionData[]): FieldText[] =>
  (Object.entries(ROWS) as [keyof VersionData, FieldRow][]) // the keys of ROWS
    .map(([field, { topic, meaning, show }]) => ({
      field,
      topic,
      meaning,
      values: versions.map((version) => show?.(version) ?? V.plainValue(version[field])),
    }));
