import type { Cell } from '../../machine/machine.ts';
import type { Call } from '../call.ts';
import { among, isLeaf, isTable, pageOf, PERMITTING, type Entry } from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { gfnOf } from '../operands.ts';
import { SUCCESS } from '../status.ts';
import type { TdxRule } from './rule.ts';
import { isInGuest } from './tds.ts';
import { blockedAbove, targetOf } from './tree.ts';

const ENTER = 'TDH.VP.ENTER';

/**
 * What the processor of a vCPU may have cached. Times are counted in events of this rule. They come
 * from flushes and entries and not from the module's epochs, which are what the rule judges.
 */
interface CachedTranslations {
  readonly tdr: number;
  /** When it last entered with nothing cached. */
  emptyAt: number;
  /** Flushed since it last entered. */
  flushed: boolean;
  /** May hold a translation to a page that has left the TD. */
  stale: boolean;
}

export default {
  id: 'T05',
  level: 'required',
  statement:
    'A page or table leaves the TD only when no vCPU can use a cached translation through it any ' +
    'more.',
  source:
    'ABI Reference 348551, TDH.MEM.TRACK leaf (leaf 38); intel/tdx-module 1.5.01, ' +
    'src/common/helpers/helpers.h: is_tlb_tracked(); src/common/helpers/helpers.c: ' +
    'adjust_tlb_tracking_state(); docs/module-notes.md#tlb-tracking',
  intent:
    'A vCPU that still translates to a removed page reads or writes memory that belongs to the ' +
    'host or to another TD.',
  hint:
    'Check BEPOCH, TD_EPOCH and REFCOUNT at the removal, and whether VP.ENTER flushed the vCPU ' +
    'that is named.',
  versions: ['*'],
  watch: (tdx, report) => {
    let now = 0;
    const vcpus = new Map<number, CachedTranslations>();
    /** When each entry was last changed from a state that permits accesses. */
    const closedAt = new Map<Cell, number>();
    tdx.m.clearOnReset(vcpus);
    tdx.m.clearOnReset(closedAt);
    tdx.m.onReset(() => {
      now = 0;
    });
    /** When the entry was last closed, by itself or, if that covers it, with a table above. */
    const closedBy = (cell: Cell, { tdr, in: { rcx }, level }: Call): number => {
      const closed = closedAt.get(cell) ?? -1;
      if (!tdx.version.blockCoversBelow) return closed;
      const above = blockedAbove(tdx, tdr, gfnOf(rcx), level);
      return above < 0 ? closed : Math.min(closed, closedAt.get(above) ?? -1);
    };
    tdx.listeners.push({
      tlbFlushed: (tdvpr) => {
        const vcpu = vcpus.get(tdvpr);
        if (vcpu === undefined) return;
        vcpu.flushed = true;
        vcpu.stale = false;
      },
      ended: ({ name, tdr, tdvpr }, status) => {
        if (name !== ENTER || status !== SUCCESS) return;
        const vcpu = vcpus.get(tdvpr);
        if (vcpu === undefined)
          vcpus.set(tdvpr, { tdr, emptyAt: ++now, flushed: false, stale: false });
        else if (vcpu.stale)
          report.violated(
            'a flush before the vCPU enters',
            'it may have cached a page that has left the TD',
          );
        else if (vcpu.flushed) {
          vcpu.emptyAt = ++now;
          vcpu.flushed = false;
        }
      },
      entryWritten: (cell, before, after, call) => {
        if (among(PERMITTING, before)) closedAt.set(cell, ++now);
        if (!endsTarget(tdx, before, after, call.level)) return;
        const closed = closedBy(cell, call);
        for (const [tdvpr, vcpu] of vcpus) {
          if (vcpu.tdr !== call.tdr) continue;
          const inGuest = isInGuest(tdx, tdvpr);
          if (inGuest) report.exercised();
          if (vcpu.flushed || vcpu.emptyAt > closed) continue;
          vcpu.stale = true;
          if (!inGuest) continue;
          report.violated(
            'no vCPU in the guest since before the entry was blocked',
            `the vCPU of TDVPR page ${tdvpr} may have cached it`,
          );
        }
      },
    });
  },
} satisfies TdxRule;

/**
 * Whether the change of the entry ends its use of what it pointed to. A leaf that becomes a table
 * ends it, except where a module splits without a block and every part is still mapped.
 */
function endsTarget(tdx: TdxModule, before: Entry, after: Entry, level: number): boolean {
  if (!tdx.version.demoteNeedsBlock && isSplit(tdx, before, after, level)) return false;
  return isLeaf(before) !== isLeaf(after)
    ? isLeaf(before) || isTable(before)
    : targetOf(tdx, before, level) >= 0 &&
        targetOf(tdx, before, level) !== targetOf(tdx, after, level);
}

/** Whether a leaf becomes a table each of whose entries maps its part of the leaf. */
function isSplit(tdx: TdxModule, before: Entry, after: Entry, level: number): boolean {
  if (!isLeaf(before) || !isTable(after)) return false;
  const [first, span] = [targetOf(tdx, before, level), tdx.geometry.span(level - 1)];
  for (let i = 0; i < tdx.geometry.fanout; i++) {
    const part = tdx.m.peek(tdx.memory.word(pageOf(after), i));
    if (!isLeaf(part) || targetOf(tdx, part, level - 1) !== first + i * span) return false;
  }
  return true;
}
