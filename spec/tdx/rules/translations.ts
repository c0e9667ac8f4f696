/**
 * Which vCPU may still hold which translation. The rules keep their own account of it: from what is
 * flushed and when a vCPU enters, not from the module's epochs, which are what is on trial.
 */
import type { Cell } from '../../machine/machine.ts';
import { among, isLeaf, isTable, PERMITTING, type Entry } from '../entry.ts';
import type { TdxModule } from '../module.ts';
import { SUCCESS } from '../status.ts';
import { refcountOf, TD, VCPU_ACTIVE, VP } from '../td.ts';
import type { TdxRule } from './rule.ts';
import { targetOf, tdsOf, vcpusOf } from './tree.ts';

/** What is known of the processor that runs a vCPU. Times are counted in the events that matter. */
interface Translations {
  readonly tdr: number;
  /** When it entered holding nothing. */
  emptyAt: number;
  /** Flushed since it last entered, or never entered. */
  flushed: boolean;
  /** It holds a translation to a page that has left the TD. */
  stale: boolean;
}

const isInside = (tdx: TdxModule, tdvpr: number): boolean =>
  tdx.m.peek(tdx.memory.word(tdvpr, VP.STATE)) === VCPU_ACTIVE;

/** Does the entry at `level` give up what it points to? A leaf that becomes a table does, too. */
const givesUp = (tdx: TdxModule, before: Entry, after: Entry, level: number): boolean =>
  isLeaf(before) !== isLeaf(after)
    ? isLeaf(before) || isTable(before)
    : targetOf(tdx, before, level) >= 0 &&
      targetOf(tdx, before, level) !== targetOf(tdx, after, level);

const T05: TdxRule = {
  id: 'T05',
  level: 'required',
  statement:
    'A page or table leaves the TD only when no vCPU can still use what it has cached of it.',
  source: 'epoch notes, rules 3-6; module notes §2 (tracking precondition)',
  versions: ['*'],
  watch: (tdx, report) => {
    let now = 0;
    const vcpus = new Map<number, Translations>();
    /** When an entry was last translated through. */
    const closedAt = new Map<Cell, number>();
    tdx.m.clearOnReset(vcpus);
    tdx.m.clearOnReset(closedAt);
    tdx.m.onReset(() => {
      now = 0;
    });
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
          report.violated('a flush before the vCPU enters', 'it holds a page that has left the TD');
        else if (vcpu.flushed) {
          vcpu.emptyAt = ++now;
          vcpu.flushed = false;
        }
      },
      entryWritten: (cell, before, after, call) => {
        if (among(PERMITTING, before)) closedAt.set(cell, ++now);
        if (!givesUp(tdx, before, after, call.level)) return;
        const closed = closedAt.get(cell) ?? -1;
        for (const [tdvpr, vcpu] of vcpus) {
          if (vcpu.tdr !== call.tdr) continue;
          const inside = isInside(tdx, tdvpr);
          if (inside) report.exercised();
          if (vcpu.flushed || vcpu.emptyAt > closed) continue;
          vcpu.stale = true;
          if (!inside) continue;
          report.violated(
            'no vCPU inside from before it was blocked',
            `that of TDVPR page ${tdvpr} may have cached it`,
          );
        }
      },
    });
  },
};

const ENTER = 'TDH.VP.ENTER';

const T06: TdxRule = {
  id: 'T06',
  level: 'required',
  statement:
    'REFCOUNT counts the vCPUs inside by the epoch of their entry; TRACK waits for those of the previous one.',
  source: 'epoch notes, rules 2-4',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (call.name !== 'TDH.MEM.TRACK' || status !== SUCCESS) return;
        report.exercised();
        const oldest = tdx.m.peek(tdx.memory.word(call.tdr, TD.TD_EPOCH)) - 1;
        for (const entered of epochsInside(tdx, call.tdr)) {
          if (entered >= oldest) continue;
          report.violated(
            `no vCPU inside from before epoch ${oldest}`,
            `one entered in ${entered}`,
          );
        }
      },
    });
  },
  atRest: (tdx, report) => {
    for (const tdr of tdsOf(tdx)) {
      report.exercised();
      const inside = [...epochsInside(tdx, tdr)];
      for (const parity of [0, 1]) {
        const counted = inside.filter((epoch) => (epoch & 1) === parity).length;
        const kept = tdx.m.peek(tdx.memory.word(tdr, refcountOf(parity)));
        if (kept !== counted)
          report.violated(`REFCOUNT[${parity}] = ${counted}, the vCPUs inside`, String(kept));
      }
    }
  },
};

/** The epochs in which the vCPUs of a TD that are inside have entered. */
function* epochsInside(tdx: TdxModule, tdr: number): Generator<number> {
  for (const tdvpr of vcpusOf(tdx, tdr)) {
    if (isInside(tdx, tdvpr)) yield tdx.m.peek(tdx.memory.word(tdvpr, VP.VCPU_EPOCH));
  }
}

export const TRANSLATION_RULES: readonly TdxRule[] = [T05, T06];
