/** Emits what else KVM does to a TD: bar entries, mark it dead, delete memslots. */
import type { Vm } from '../../../impl/vm/vm.ts';
import type { AddressMap } from './address-map.ts';
import type { TraceLog } from './log.ts';

/** KVM_REQ_VM_DEAD, with the bits KVM_REQUEST_WAIT and KVM_REQUEST_NO_WAKEUP. */
const REQ_VM_DEAD = 0x301;

const hex = (value: number): string => `0x${value.toString(16)}`;

export function writeVmState(vm: Vm, log: TraceLog, addresses: AddressMap): void {
  const kvm = `kvm=${addresses.vm}`;
  vm.m.onWrite.push((cell, _before, after) => {
    if (cell === vm.td.dead)
      log.event('request', 'kvm_make_all_cpus_request+0x4', `${kvm} req=${hex(REQ_VM_DEAD)}`);
    if (cell !== vm.noEntry) return;
    if (after === 0) log.event('unbar', 'tdx_no_vcpus_enter_stop+0x4', kvm);
    else log.event('bar', 'tdx_no_vcpus_enter_start+0x4', kvm);
  });
  vm.listeners.push({
    slotRemovalBegan: (gfn, pages) => {
      const n = addresses.gfn(gfn + pages) - addresses.gfn(gfn);
      log.event(
        'slot',
        'kvm_arch_flush_shadow_memslot+0x4',
        `${kvm} gfn=${hex(addresses.gfn(gfn))} n=${hex(n)}`,
      );
    },
    slotRemoved: () =>
      log.event('slot_ret', 'kvm_set_memslot+0x400 <- kvm_arch_flush_shadow_memslot', ''),
  });
}
