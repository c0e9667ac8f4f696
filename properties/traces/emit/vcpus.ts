/** Writes down when a TD's VCPUs are inside, which exits and faults KVM handles, and what else of KVM concerns them. */
import { toRax } from '../../../spec/tdx/status.ts';
import { VCPU_ACTIVE, VP } from '../../../spec/tdx/td.ts';
import { SUCCESS } from '../../../spec/tdx/status.ts';
import type { Vm } from '../../../impl/vm.ts';
import type { TraceLog } from './log.ts';
import type { Places } from './places.ts';

/** KVM_REQ_VM_DEAD, with the bits that say that it is waited for and wakes nobody up. */
const REQ_VM_DEAD = 0x301;

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

export function writeVcpus(vm: Vm, log: TraceLog, places: Places): void {
  const { m, memory } = vm;
  const kvm = `kvm=${places.vm}`;
  const range = (gfn: number, pages: number): string =>
    `gfn=${hex(places.gfn(gfn))} n=${hex(places.gfn(gfn + pages) - places.gfn(gfn))}`;
  /** Faults that are being handled, by actor: the vCPU. */
  const faults = new Map<number, number>();
  m.clearOnReset(faults);
  /** Actors whose vCPU has its MMU: that is seen to before it first enters. */
  const loaded = new Set<number>();
  m.clearOnReset(loaded);

  const left = (vcpu: number, rax: bigint): void => {
    log.event('tdh_vp_enter_ret', 'tdx_vcpu_enter_exit+0x40 <- tdh_vp_enter', `status=${hex(rax)}`);
    log.tracepoint('kvm_exit', `vcpu ${vcpu} reason UNKNOWN rip 0x0 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0 requests 0x0`);
  };
  vm.tdx.listeners.push({
    began: ({ name, in: { lp } }) => {
      if (name !== 'TDH.VP.ENTER') return;
      if (!loaded.has(m.current)) log.event('alloc_root', 'kvm_tdp_mmu_alloc_root+0x4', `vcpu=${places.vcpu(lp)} ${kvm}`);
      loaded.add(m.current);
      log.tracepoint('kvm_entry', `vcpu ${lp}, rip 0x0 intr_info 0x0 error_code 0x0`);
      log.event('tdh_vp_enter', 'tdh_vp_enter+0x4', `vp=${places.vcpu(lp)}`);
    },
    ended: ({ name, in: { lp } }, status) => {
      if (name === 'TDH.VP.ENTER' && status !== SUCCESS) left(lp, toRax(status));
    },
  });
  m.onWrite.push((cell, before, after) => {
    if (cell === vm.noEntry) log.event(after === 0 ? 'unbar' : 'bar', `tdx_no_vcpus_enter_${after === 0 ? 'stop' : 'start'}+0x4`, kvm);
    else if (cell === vm.td.dead) log.event('request', 'kvm_make_all_cpus_request+0x4', `${kvm} req=${hex(REQ_VM_DEAD)}`);
    else if (before === VCPU_ACTIVE) {
      const vcpu = vm.vcpus.find(({ tdvpr }) => cell === memory.word(tdvpr, VP.STATE));
      if (vcpu !== undefined) left(vcpu.index, 0n);
    }
  });
  const wanted = (vcpu: number): boolean => vm.vcpus[vcpu]?.kvm.requests() !== 0;
  const asked = (vcpu: number): void => {
    if (wanted(vcpu)) log.event('has_events_ret', 'tdx_handle_ept_violation+0x80 <- kvm_vcpu_has_events', 'ret=1');
  };
  vm.listeners.push({
    exitHandled: (vcpu) => log.event('tdx_handle_exit', 'tdx_handle_exit+0x4', `vcpu=${places.vcpu(vcpu)}`),
    faultBegan: (vcpu) => faults.set(m.current, vcpu),
    slotFound: (gfn) => {
      const vcpu = faults.get(m.current);
      if (vcpu === undefined) return;
      log.event('tdp_fault', 'kvm_tdp_page_fault+0x4', `vcpu=${places.vcpu(vcpu)} ${kvm} gfn=${hex(places.gfn(gfn))}`);
      asked(vcpu);
    },
    faultEnded: (vcpu, _gfn, _acceptLevel, mayRetry) => {
      faults.delete(m.current);
      asked(vcpu);
      log.event('tdx_handle_exit_ret', 'vcpu_enter_guest+0x900 <- tdx_handle_exit', `ret=${mayRetry ? 1 : 0}`);
    },
    operationEnded: () => {
      const vcpu = vm.vcpus.find(({ kvm: { name } }) => name === `vcpu${m.actors[m.current]?.name.slice(1) ?? ''}`);
      const isVcpu = m.actors[m.current]?.name.startsWith('v') === true;
      if (isVcpu && vcpu !== undefined && m.peek(memory.word(vcpu.tdvpr, VP.STATE)) !== VCPU_ACTIVE) {
        log.tracepoint('kvm_userspace_exit', 'reason KVM_EXIT_MEMORY_FAULT (39)');
      }
    },
    slotRemovalBegan: (gfn, pages) => log.event('slot', 'kvm_set_memory_region+0x4', `${kvm} ${range(gfn, pages)}`),
    slotRemoved: () => log.event('slot_ret', 'kvm_vm_ioctl+0x400 <- kvm_set_memory_region', 'ret=0'),
  });
}
