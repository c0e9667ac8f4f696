import type { VmRule } from './rule.ts';
import { gfnOfCall, levelOfCall } from './state/entry-keys.ts';

export default {
  id: 'K61',
  level: 'required',
  statement:
    'A page that is added to a TD was looked up for writing, as the Secure EPT maps it writable.',
  source: 'Linux, arch/x86/kvm/vmx/tdx.c: tdx_handle_ept_violation(), tdx_sept_set_private_spte()',
  intent: 'A page looked up for reading may be shared with others (zero page, copy on write).',
  hint: 'Check that the fault asks for write access, whatever the guest did.',
  versions: ['*'],
  watch: (vm, report) => {
    vm.tdx.listeners.push({
      began: (call) => {
        if (call.name !== 'TDH.MEM.PAGE.AUG' && call.name !== 'TDH.MEM.PAGE.ADD') return;
        report.exercised();
        const first = gfnOfCall(call);
        for (let gfn = first; gfn < first + vm.mirror.span(levelOfCall(call)); gfn++) {
          if (vm.guestMemory.isWritable(gfn)) continue;
          report.violated(
            `the page of GFN ${gfn} looked up for writing`,
            'it was looked up for reading: others may read it, too',
          );
        }
      },
    });
  },
} satisfies VmRule;
