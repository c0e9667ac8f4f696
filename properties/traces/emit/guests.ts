/** Emits entries, exits and TLB flushes of the vCPUs of an ordinary VM. */
import type { Kvm } from '../../../spec/kvm/kvm.ts';
import type { AddressMap } from './address-map.ts';
import type { TraceLog } from './log.ts';

export function writeGuests(
  { listeners, m, vcpus }: Kvm,
  log: TraceLog,
  addresses: AddressMap,
): void {
  /** vCPUs in the guest. A vCPU that finds a request while entering does not get there. */
  const inside = new Set<number>();
  m.clearOnReset(inside);
  listeners.push({
    entered: (vcpu) => {
      inside.add(vcpu);
      log.tracepoint(
        'kvm_entry',
        `vcpu ${vcpu}, rip 0x1000 intr_info 0x00000000 error_code 0x00000000`,
      );
    },
  });
  for (const { index, tlb, vcpu } of vcpus) {
    vcpu.onLeave.push(() => {
      if (inside.delete(index))
        log.tracepoint(
          'kvm_exit',
          `vcpu ${index} reason EPT_VIOLATION rip 0x1000 info1 0x0 info2 0x0`,
        );
    });
    tlb.onFlush.push(() =>
      log.event('hwflush', 'vmx_flush_tlb_all+0x4', `vcpu=${addresses.vcpu(index)}`),
    );
  }
}
