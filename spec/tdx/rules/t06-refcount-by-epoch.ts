import { epochOfWord, isBefore } from '../epoch.ts';
import type { TdxModule } from '../module.ts';
import { SUCCESS } from '../status.ts';
import { refcountOf, TD, VP } from '../td.ts';
import type { TdxRule } from './rule.ts';
import { fieldOf, isInGuest, tdsOf, vcpusOf } from './tds.ts';

export default {
  id: 'T06',
  level: 'required',
  statement:
    'REFCOUNT counts the vCPUs in the guest by the parity of the epoch in which they entered, ' +
    'and TRACK succeeds only when none is left from before the previous epoch.',
  source:
    'ABI Reference 348551, TDH.MEM.TRACK leaf (leaf 38); intel/tdx-module 1.5.01, ' +
    'src/vmm_dispatcher/api_calls/tdh_mem_track.c: tdh_mem_track(); ' +
    'src/common/helpers/helpers.c: adjust_tlb_tracking_state(); src/td_transitions/td_exit.c: ' +
    'td_vmexit_to_vmm(); docs/module-notes.md#tlb-tracking',
  intent:
    'A vCPU that is counted in the wrong epoch, or not at all, makes TRACK promise that its ' +
    'translations are gone.',
  hint:
    'Compare the parity that VP.ENTER increments with the one that the TD exit decrements ' +
    '(VCPU_EPOCH), also when VP.ENTER is refused.',
  versions: ['*'],
  watch: (tdx, report) => {
    tdx.listeners.push({
      ended: (call, status) => {
        if (call.name !== 'TDH.MEM.TRACK' || status !== SUCCESS) return;
        report.exercised();
        const oldest = (fieldOf(tdx, call.tdr, TD.TD_EPOCH) - 1) | 0;
        for (const entered of epochsInGuest(tdx, call.tdr)) {
          if (!isBefore(entered, oldest)) continue;
          report.violated(
            `no vCPU in the guest from before epoch ${epochOfWord(oldest)}`,
            `one entered in epoch ${epochOfWord(entered)}`,
          );
        }
      },
    });
  },
  atRest: (tdx, report) => {
    for (const tdr of tdsOf(tdx)) {
      report.exercised();
      const inGuest = [...epochsInGuest(tdx, tdr)];
      for (const parity of [0, 1]) {
        const counted = inGuest.filter((epoch) => (epoch & 1) === parity).length;
        const kept = fieldOf(tdx, tdr, refcountOf(parity));
        if (kept !== counted)
          report.violated(`REFCOUNT[${parity}] = ${counted}, the vCPUs in the guest`, String(kept));
      }
    }
  },
} satisfies TdxRule;

/** The epochs in which the vCPUs of a TD that are in the guest entered it. */
function* epochsInGuest(tdx: TdxModule, tdr: number): Generator<number> {
  for (const tdvpr of vcpusOf(tdx, tdr)) {
    if (isInGuest(tdx, tdvpr)) yield tdx.m.peek(tdx.memory.word(tdvpr, VP.VCPU_EPOCH));
  }
}
