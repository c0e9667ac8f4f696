/**
 * The locks that each recorded call tries, in order: the mode, and the operand of the status if the
 * lock refuses. The locks of the tree and its entries differ by module version; they come from the
 * specification's table (spec/tdx/versions/). Source: docs/module-notes.md#locks.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { EXCLUSIVE, SHARED, type Mode } from '../../../../spec/tdx/locks.ts';
import { OPERANDS } from '../../../../spec/tdx/status.ts';
import {
  SEPT_FUNCTIONS,
  versionData,
  type ModuleVersion,
  type SeptFunction,
  type VersionData,
} from '../../../../spec/tdx/versions/index.ts';
import type { SequentialConfig } from '../format/config.ts';
import type { RecordedStep } from '../format/step.ts';

/**
 * The object that a lock guards. `control`, `given`: an entry of the PAMT of one size, for a page
 * of the TD's control structures, or for a page that an operand names. `found`: for a page that the
 * call finds in the tree; a recording does not show which. `table`: such an entry, for a table that
 * a fine-grained module locks in place of the tree.
 */
type Guarded = 'control' | 'given' | 'found' | 'table' | 'tree' | 'opState' | 'epoch' | 'entry';

/** An attempt at a lock. */
export interface Attempt {
  readonly guards: Guarded;
  readonly mode: Mode;
  /** Operand of the BUSY status if the lock refuses. */
  readonly operand: number;
  /** The guarded range, in pages: of guest memory for an entry, else of physical memory. */
  readonly from: number;
  readonly to: number;
  /** Size of the page, or level of the entry; -1 for any. */
  readonly size: number;
  /** TDR page of the TD that the lock belongs to; for PAMT entries 0. */
  readonly td: number;
}

const PAGE = BigInt(PAGE_BYTES);
const LEVEL_BITS = 9;
const LARGEST = 2;
const spanOf = (size: number): number => 2 ** (LEVEL_BITS * size);

/** An entry of the PAMT, by a page in its range. */
function pamt(guards: Guarded, page: number, size: number, mode: Mode, operand: number): Attempt {
  const from = Math.floor(page / spanOf(size)) * spanOf(size);
  return { guards, mode, operand, from, to: from + spanOf(size), size, td: 0 };
}

/** A walk of the PAMT to a page: the parents are locked shared, the page itself in `mode`. */
function walkTo(guards: Guarded, page: number, mode: Mode, operand: number, size = 0): Attempt[] {
  const parents = Array.from({ length: LARGEST - size }, (_, i) =>
    pamt(guards, page, LARGEST - i, SHARED, operand),
  );
  return [...parents, pamt(guards, page, size, mode, operand)];
}

const pageOf = (hpa: string | undefined): number =>
  hpa === undefined ? -1 : Number(BigInt(hpa) / PAGE);

/** The locks of a function. */
interface Row {
  /** The register that names the TDR, and the mode in which its page is locked. */
  readonly tdr?: readonly ['rdx' | 'rcx', Mode];
  readonly opState?: boolean;
  readonly epoch?: Mode;
  /** The function locks pages that it finds in the tree. */
  readonly implicit?: boolean;
  /** The same, in versions whose RANGE.UNBLOCK does. */
  readonly maybeImplicit?: boolean;
  /** R8 is a page that the TD gets: of 4K, or of the size of the level operand. */
  readonly page?: 'small' | 'level';
  /** The function also locks the entries of the table below. */
  readonly children?: boolean;
  /** The function locks the leaf, at any level. */
  readonly anyLevel?: boolean;
}

const S_RDX = { tdr: ['rdx', SHARED], opState: true } as const;
/** The functions that name a TD by its TDR. */
const TABLE: ReadonlyMap<string, Row> = new Map<string, Row>([
  ['TDH.MEM.SEPT.ADD', { ...S_RDX, page: 'small' }],
  ['TDH.MEM.SEPT.REMOVE', { ...S_RDX, implicit: true }],
  ['TDH.MEM.SEPT.RD', S_RDX],
  ['TDH.MEM.PAGE.ADD', { tdr: ['rdx', EXCLUSIVE], page: 'small' }],
  ['TDH.MEM.PAGE.AUG', { ...S_RDX, page: 'level' }],
  ['TDH.MEM.PAGE.REMOVE', { ...S_RDX, implicit: true }],
  ['TDH.MEM.PAGE.PROMOTE', { ...S_RDX, implicit: true, children: true }],
  ['TDH.MEM.PAGE.DEMOTE', { ...S_RDX, page: 'small', implicit: true }],
  ['TDH.MEM.PAGE.RELOCATE', { ...S_RDX, implicit: true, page: 'small' }],
  ['TDH.MEM.RANGE.BLOCK', S_RDX],
  ['TDH.MEM.RANGE.UNBLOCK', { ...S_RDX, maybeImplicit: true }],
  ['TDH.MEM.RD', { ...S_RDX, anyLevel: true }],
  ['TDH.MEM.WR', { ...S_RDX, anyLevel: true }],
  ['TDH.MEM.TRACK', { tdr: ['rcx', SHARED], opState: true, epoch: EXCLUSIVE }],
  ['TDH.MR.EXTEND', { tdr: ['rdx', EXCLUSIVE] }],
  ['TDH.MR.FINALIZE', { tdr: ['rcx', EXCLUSIVE] }],
]);

/** The host's function that updates an entry by compare-and-exchange where it does not lock it. */
const EXCHANGES = 'TDH.MEM.RANGE.BLOCK';

/** The locks that a call tries, in order. */
export class LockTable {
  private readonly tdrs: ReadonlyMap<number, SequentialConfig['tds'][number]>;
  private readonly version: VersionData;

  constructor(config: SequentialConfig, version: ModuleVersion) {
    this.tdrs = new Map(config.tds.map((td) => [td.td, td]));
    this.version = versionData(version);
  }

  attempts(step: RecordedStep): Attempt[] {
    const {
      op,
      in: { td, vcpu, regs },
    } = step;
    const slot = this.tdrs.get(td);
    const own = pageOf(slot?.tdr);
    if (op === 'TDG.MEM.PAGE.ACCEPT') return this.tree(step, own, {});
    if (op === 'TDH.PHYMEM.PAGE.RDMD')
      return walkTo('given', pageOf(regs?.rcx), SHARED, OPERANDS.RCX);
    if (op === 'TDH.PHYMEM.PAGE.RECLAIM') {
      const page = walkTo('given', pageOf(regs?.rcx), EXCLUSIVE, OPERANDS.RCX);
      return [...page, pamt('control', own, 0, SHARED, OPERANDS.TDR)];
    }
    if (op === 'TDH.VP.ENTER' || op === 'TDH.VP.FLUSH')
      return this.vcpu(op, own, pageOf(slot?.tdvpr[vcpu ?? 0]));
    const row = TABLE.get(op);
    if (row?.tdr === undefined) return [];
    const [register, mode] = row.tdr;
    const tdr = pageOf(regs?.[register]);
    const at = { from: 0, to: 1, size: -1, td: tdr };
    const attempts = walkTo('control', tdr, mode, OPERANDS[register === 'rdx' ? 'RDX' : 'RCX']);
    if (row.opState === true && this.version.locksOpState)
      attempts.push({ guards: 'opState', mode: SHARED, operand: OPERANDS.OP_STATE, ...at });
    if (row.epoch !== undefined)
      attempts.push({ guards: 'epoch', mode: row.epoch, operand: OPERANDS.TD_EPOCH, ...at });
    attempts.push(...this.tree(step, tdr, row));
    if (row.implicit === true || (row.maybeImplicit === true && this.version.unblockLocksPage)) {
      attempts.push({
        guards: 'found',
        mode: EXCLUSIVE,
        operand: OPERANDS.RCX,
        from: 0,
        to: Infinity,
        size: -1,
        td: 0,
      });
    }
    if (row.page !== undefined) {
      const size = row.page === 'small' ? 0 : Math.min(step.in.level ?? 0, LARGEST);
      attempts.push(...walkTo('given', pageOf(regs?.r8), EXCLUSIVE, OPERANDS.R8, size));
    }
    return attempts;
  }

  /** The tree lock and the entry lock, by module version. */
  private tree({ op, in: { gpa, level, regs } }: RecordedStep, td: number, row: Row): Attempt[] {
    if (!SEPT_FUNCTIONS.some((name) => name === op)) return [];
    // checked on the line before
    const { entryLock } = this.version.septLocks[op as SeptFunction];
    const attempts = this.treeOrTables(op as SeptFunction, td);
    // without host locks, RANGE.BLOCK is refused like a lock when a guest changes its entry
    if (!entryLock && op !== EXCHANGES) return attempts;
    const gfn = pageOf(gpa ?? regs?.rcx);
    const size = row.anyLevel === true ? -1 : (level ?? 0);
    const entry = (from: number, to: number, at: number): Attempt => ({
      guards: 'entry',
      mode: EXCLUSIVE,
      operand: OPERANDS.RCX,
      from,
      to,
      size: at,
      td,
    });
    attempts.push(entry(gfn, gfn + spanOf(Math.max(size, 0)), size));
    if (row.children === true && size > 0) attempts.push(entry(gfn, gfn + spanOf(size), size - 1));
    return attempts;
  }

  /** The tree lock, or those of tables: a recording does not show which tables. */
  private treeOrTables(op: SeptFunction, td: number): Attempt[] {
    const { tree, path = false, below = false } = this.version.septLocks[op];
    const lock = (guards: Guarded, mode: Mode): Attempt => {
      return { guards, mode, operand: OPERANDS.SEPT_TREE, from: 0, to: Infinity, size: -1, td };
    };
    return [
      ...(tree === null ? [] : [lock('tree', tree)]),
      ...(path ? [lock('table', SHARED)] : []),
      ...(below ? [lock('table', EXCLUSIVE)] : []),
    ];
  }

  /**
   * VP.ENTER locks the tree only while zero-step mitigation is armed. A recording does not show
   * when, so the tree is always in the list.
   */
  private vcpu(op: string, tdr: number, tdvpr: number): Attempt[] {
    const walked = walkTo(
      'control',
      tdvpr,
      op === 'TDH.VP.ENTER' ? SHARED : EXCLUSIVE,
      OPERANDS.RCX,
    );
    const implicit = pamt('control', tdr, 0, SHARED, OPERANDS.TDR);
    if (op !== 'TDH.VP.ENTER') return [...walked, implicit];
    const at = { from: 0, to: 1, size: -1, td: tdr };
    return [
      ...walked,
      implicit,
      ...(this.version.locksOpState
        ? [{ guards: 'opState', mode: SHARED, operand: OPERANDS.OP_STATE, ...at } as const]
        : []),
      { guards: 'epoch', mode: SHARED, operand: OPERANDS.TD_EPOCH, ...at },
      ...this.treeOrTables('TDH.VP.ENTER', tdr),
    ];
  }

  /** The locks that a vCPU holds as long as it is in the guest. */
  resident(td: number, vcpu: number): Attempt[] {
    const slot = this.tdrs.get(td);
    const tdvpr = walkTo('control', pageOf(slot?.tdvpr[vcpu]), SHARED, OPERANDS.RCX);
    return [...tdvpr, pamt('control', pageOf(slot?.tdr), 0, SHARED, OPERANDS.TDR)];
  }
}

/** What can be a table: one on the way, one that a call removes, a page that becomes one. */
const TABLES: ReadonlySet<Guarded> = new Set(['table', 'found', 'given']);

/** One of the two attempts can be refused because the other one holds the lock. */
export function conflict(a: Attempt, b: Attempt): boolean {
  if (a.mode === SHARED && b.mode === SHARED) return false;
  if (a.guards === 'table' || b.guards === 'table')
    return [a, b].every(({ guards }) => TABLES.has(guards));
  if (a.guards === 'found' || b.guards === 'found')
    return a.guards === 'given' || b.guards === 'given';
  if (a.guards !== b.guards && !(isPage(a) && isPage(b))) return false;
  return (
    a.td === b.td &&
    (a.size === b.size || a.size < 0 || b.size < 0) &&
    a.from < b.to &&
    b.from < a.to
  );
}

export const isPage = ({ guards }: Attempt): boolean => guards === 'control' || guards === 'given';
