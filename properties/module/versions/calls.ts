/**
 * A call of each interface function that succeeds in every version that has it: the state in which
 * a TD begins (hunt/beginnings.ts), the calls that come before, and the call, by the names of
 * operations in scenarios.
 */
import { atomically, type Steps } from '../../../spec/machine/step.ts';
import type { Call, Operands } from '../../../spec/tdx/call.ts';
import { listGpa } from '../../../spec/tdx/stepping.ts';
import { versionData, type ModuleVersion } from '../../../spec/tdx/versions/index.ts';
import { rigAt, type Beginning } from '../hunt/beginnings.ts';
import { callOf } from '../hunt/calls.ts';
import { GUEST_CALLS } from '../rig/calls.ts';
import type { ModuleRig } from '../rig/rig.ts';

export interface CallRow {
  /** The function, followed by how it is called if that matters. */
  readonly title: string;
  readonly begins: Beginning;
  /** Operations before the call, e.g. `aug 0; track 0`. */
  readonly before: string;
  readonly operation: string;
  /** Version of the call; a module that has not got it has no such row. */
  readonly version?: 1;
}

const row = (
  title: string,
  begins: Beginning,
  operation: string,
  before = '',
  version?: 1,
): CallRow => ({
  title,
  begins,
  before,
  operation,
  ...(version === undefined ? {} : { version }),
});

/** Makes zero-step mitigation list the page at GFN 0. */
const ARM = 'arm';

export const CALLS: readonly CallRow[] = [
  // the Secure EPT
  row('TDH.MEM.SEPT.ADD', 'RUNNABLE', 'sept-add 2'),
  row('TDH.MEM.SEPT.REMOVE', 'RUNNABLE', 'sept-remove 0', 'block-huge 0; track 0'),
  row('TDH.MEM.SEPT.RD', 'RUNNABLE', 'sept-rd 0', 'aug 0'),
  row('TDH.MEM.PAGE.ADD', 'INITIALIZED', 'add 0'),
  row('TDH.MEM.PAGE.AUG', 'RUNNABLE', 'aug 0'),
  row('TDH.MEM.PAGE.REMOVE', 'RUNNABLE', 'remove 0', 'aug 0; block 0; track 0'),
  row('TDH.MEM.PAGE.PROMOTE', 'INITIALIZED', 'promote 0', 'add 0; add 1; block-huge 0; track 0'),
  row('TDH.MEM.PAGE.DEMOTE', 'RUNNABLE', 'demote 2', 'aug-huge 2; block-huge 2; track 0'),
  row('TDH.MEM.PAGE.RELOCATE', 'RUNNABLE', 'relocate 0', 'aug 0; block 0; track 0'),
  row('TDH.MEM.RANGE.BLOCK', 'RUNNABLE', 'block 0', 'aug 0'),
  row('TDH.MEM.RANGE.UNBLOCK', 'RUNNABLE', 'unblock 0', 'aug 0; block 0; track 0'),
  row('TDH.MEM.TRACK', 'RUNNABLE', 'track 0'),
  row('TDH.MEM.RD', 'RUNNABLE-debug', 'read 0'),
  row('TDH.MEM.WR', 'RUNNABLE-debug', 'write 0'),
  row('TDH.MR.EXTEND', 'INITIALIZED', 'extend 0', 'add 0'),
  row('TDG.MEM.PAGE.ACCEPT', 'RUNNABLE', 'accept-huge 2', 'aug-huge 2; in 0'),
  // vCPUs
  row('TDH.VP.CREATE', 'INITIALIZED', 'vp-create 0'),
  row('TDH.VP.ADDCX', 'INITIALIZED', 'vp-addcx 0'),
  row('TDH.VP.INIT', 'INITIALIZED', 'vp-init 0'),
  row('TDH.VP.INIT (version 1)', 'INITIALIZED', 'vp-init 0', '', 1),
  row('TDH.VP.ENTER', 'RUNNABLE', 'enter 0'),
  row(
    'TDH.VP.ENTER (zero-step mitigation armed)',
    'RUNNABLE',
    'enter 0',
    `aug 0; in 0; accept 0; out 0; ${ARM} 0`,
  ),
  row('TDH.VP.FLUSH', 'RUNNABLE', 'flush 0'),
  // a TD
  row('TDH.MNG.CREATE', 'RUNNABLE', 'create 0'),
  row('TDH.MNG.KEY.CONFIG', 'HKID_ASSIGNED', 'key-config 1'),
  row('TDH.MNG.ADDCX', 'UNINITIALIZED', 'addcx 0'),
  row('TDH.MNG.INIT', 'UNINITIALIZED', 'init 0', 'addcx 0'),
  row('TDH.MR.FINALIZE', 'INITIALIZED', 'finalize 0'),
  row('TDH.MNG.RD', 'RUNNABLE', 'rd-vcpus 0'),
  row('TDH.MNG.VPFLUSHDONE', 'RUNNABLE', 'vpflushdone 0', 'flush 0; flush 1'),
  row('TDH.MNG.KEY.FREEID', 'BLOCKED', 'freeid 0', 'cache-wb 1'),
  row('TDH.MNG.KEY.RECLAIMID', 'TEARDOWN', 'reclaimid 0'),
  // pages
  row('TDH.PHYMEM.CACHE.WB', 'BLOCKED', 'cache-wb 1'),
  row('TDH.PHYMEM.PAGE.RECLAIM', 'TEARDOWN', 'reclaim 0'),
  row('TDH.PHYMEM.PAGE.RECLAIM (TDR)', 'TEARDOWN', 'reclaim-tdr 0', 'reclaim-all 0'),
  row('TDH.PHYMEM.PAGE.RDMD', 'RUNNABLE', 'rdmd 0'),
  row('TDH.PHYMEM.PAGE.WBINVD', 'RUNNABLE', 'wbinvd 0'),
];

/** The rows that a version has. */
export const callsOf = (module: ModuleVersion): readonly CallRow[] =>
  CALLS.filter(({ version = 0 }) => version <= versionData(module).vpInitVersion);

/** No call is interrupted unless an experiment says so. */
const NEVER = -1;
/** A free x2APIC id. */
const X2APIC_ID = 9;

/** A call that can be started again and again, each time from the same state. */
export class PreparedCall {
  readonly rig: ModuleRig;
  readonly name: string;
  readonly operands: Partial<Operands>;

  constructor(module: ModuleVersion, { begins, before, operation, version }: CallRow) {
    const rig = rigAt(module, begins);
    for (const text of before.split('; ').filter((one) => one !== '')) prepare(rig, text);
    const [name, operands] = operationOf(rig, operation);
    // every page must have its cells before the seal
    for (let page = 0; page < rig.memory.pages; page++) rig.memory.word(page, 0);
    rig.m.seal();
    this.rig = rig;
    this.name = name;
    const withId = version === undefined ? {} : { version, r8: X2APIC_ID };
    this.operands = { interruptAfter: NEVER, ...operands, ...withId };
  }

  /** Returns to the prepared state, changes it by `change`, and starts the call. */
  start(differences: Partial<Operands> = {}, change: () => void = () => {}): Steps<Call> {
    this.rig.m.reset();
    change();
    return this.rig.invoke(this.name, { ...this.operands, ...differences });
  }

  /** {@link start}, and runs the call to its end. */
  run(differences: Partial<Operands> = {}, change?: () => void): Call {
    return atomically(this.start(differences, change));
  }
}

type Prepare = (rig: ModuleRig, number: number) => void;

/** Operations that are no call of the VMM. */
const PREPARATIONS: ReadonlyMap<string, Prepare> = new Map<string, Prepare>([
  ['in', (rig, vcpu) => rig.must('TDH.VP.ENTER', { rcx: rig.address(rig.tdvpr(vcpu)), lp: vcpu })],
  ['out', (rig, vcpu) => rig.leave(vcpu)],
  [ARM, (rig) => listGpa(rig.tdx, rig.tdvpr(0), 0)],
  ['reclaim-all', (rig) => reclaimAll(rig)],
]);

function prepare(rig: ModuleRig, text: string): void {
  const [word, number] = wordsOf(text);
  const preparation = PREPARATIONS.get(word);
  if (preparation !== undefined) preparation(rig, number);
  else rig.must(...operationOf(rig, text));
}

/** Reclaims every page of the TD but its TDR. */
function reclaimAll(rig: ModuleRig): void {
  const { pamt } = rig.tdx;
  for (let page = 0; page < pamt.pages; page++)
    if (pamt.owner(page, 0) === rig.tdr)
      rig.must('TDH.PHYMEM.PAGE.RECLAIM', { rcx: rig.address(page) });
}

function wordsOf(text: string): [string, number] {
  const [word = '', number = '0'] = text.split(' ');
  return [word, Number(number)];
}

/** The call that an operation makes. @throws Error if there is no such operation */
function operationOf(rig: ModuleRig, text: string): [string, Partial<Operands>] {
  const [word, number] = wordsOf(text);
  const guest = GUEST_CALLS.get(word);
  if (guest !== undefined) {
    const [name, level] = guest;
    return [name, { rcx: rig.mapping(number, level).rcx, vcpu: rig.tdvpr(0) }];
  }
  const [name, operands] = callOf(word)(rig, number);
  return [name, operands];
}
