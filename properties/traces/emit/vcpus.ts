/** Emits entries and exits of a TD's vCPUs, and the exits and faults that KVM handles. */
import type { Vm } from '../../../impl/vm/vm.ts';
import { SUCCESS, toRax } from '../../../spec/tdx/status.ts';
import { VCPU_ACTIVE, VP } from '../../../spec/tdx/td.ts';
import type { AddressMap } from './address-map.ts';
import type { TraceLog } from './log.ts';

const ENTERS = 'TDH.VP.ENTER';
/** Other values of the tracepoints of entries and exits, which no rule reads. */
const REGISTERS = 'rip 0x0 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0 requests 0x0';

class VcpuWriter {
  private readonly vm: Vm;
  private readonly log: TraceLog;
  private readonly addresses: AddressMap;
  /** vCPU that each actor runs, since its first entry. */
  private readonly running = new Map<number, number>();
  /** vCPU whose fault each actor handles. */
  private readonly faulting = new Map<number, number>();

  constructor(vm: Vm, log: TraceLog, addresses: AddressMap) {
    this.vm = vm;
    this.log = log;
    this.addresses = addresses;
    vm.m.clearOnReset(this.running);
    vm.m.clearOnReset(this.faulting);
    vm.tdx.listeners.push({
      began: ({ name, in: { lp } }) => {
        if (name === ENTERS) this.enters(lp);
      },
      ended: ({ name, in: { lp } }, status) => {
        if (name === ENTERS && status !== SUCCESS) this.left(lp, toRax(status));
      },
    });
    vm.m.onWrite.push((cell, before) => {
      const vcpu =
        before === VCPU_ACTIVE
          ? vm.vcpus.find(({ tdvpr }) => cell === vm.memory.word(tdvpr, VP.STATE))
          : undefined;
      if (vcpu !== undefined) this.left(vcpu.index, toRax(SUCCESS));
    });
    vm.listeners.push({
      exitHandled: (vcpu) => log.event('tdx_handle_exit', 'tdx_handle_exit+0x4', this.vcpu(vcpu)),
      faultBegan: (vcpu) => this.faulting.set(vm.m.current, vcpu),
      slotFound: (gfn) => this.faults(gfn),
      faultEnded: (vcpu, _gfn, _acceptLevel, mayRetry) => this.faulted(vcpu, mayRetry),
      operationEnded: () => this.ended(),
    });
  }

  private vcpu(index: number): string {
    return `vcpu=${this.addresses.vcpu(index)}`;
  }

  private enters(index: number): void {
    const {
      log,
      addresses,
      running,
      vm: { m },
    } = this;
    // KVM loads its MMU before it first enters
    if (!running.has(m.current))
      log.event(
        'alloc_root',
        'kvm_tdp_mmu_alloc_root+0x4',
        `${this.vcpu(index)} kvm=${addresses.vm}`,
      );
    running.set(m.current, index);
    log.tracepoint('kvm_entry', `vcpu ${index}, ${REGISTERS}`);
    log.event('tdh_vp_enter', 'tdh_vp_enter+0x4', `vp=${addresses.vcpu(index)}`);
  }

  private left(index: number, rax: bigint): void {
    this.log.event(
      'tdh_vp_enter_ret',
      'tdx_vcpu_enter_exit+0x40 <- tdh_vp_enter',
      `status=0x${rax.toString(16)}`,
    );
    this.log.tracepoint('kvm_exit', `vcpu ${index} reason UNKNOWN ${REGISTERS}`);
  }

  /** Emits an attempt to resolve a fault of a guest. */
  private faults(gfn: number): void {
    const vcpu = this.faulting.get(this.vm.m.current);
    if (vcpu === undefined) return;
    const { log, addresses } = this;
    log.event(
      'tdp_fault',
      'kvm_tdp_page_fault+0x4',
      `${this.vcpu(vcpu)} kvm=${addresses.vm} gfn=0x${addresses.gfn(gfn).toString(16)}`,
    );
    this.askForEvents(vcpu);
  }

  private faulted(vcpu: number, mayRetry: boolean): void {
    this.faulting.delete(this.vm.m.current);
    this.askForEvents(vcpu);
    this.log.event(
      'tdx_handle_exit_ret',
      'vcpu_enter_guest+0x900 <- tdx_handle_exit',
      `ret=${mayRetry ? 1 : 0}`,
    );
  }

  /** Emits whether an event is pending for the vCPU. A signal is emitted in the same way. */
  private askForEvents(vcpu: number): void {
    if (this.vm.vcpus[vcpu]?.kvm.requests() === 0) return;
    this.log.event(
      'has_events_ret',
      'tdx_handle_ept_violation+0x80 <- kvm_vcpu_has_events',
      'ret=1',
    );
  }

  /** Emits the exit to user space of a vCPU that is outside when its operation ends. */
  private ended(): void {
    const {
      vm: { m, memory, vcpus },
      running,
    } = this;
    const vcpu = vcpus[running.get(m.current) ?? -1];
    if (vcpu === undefined || m.peek(memory.word(vcpu.tdvpr, VP.STATE)) === VCPU_ACTIVE) return;
    this.log.tracepoint('kvm_userspace_exit', 'reason KVM_EXIT_MEMORY_FAULT (39)');
  }
}

export const writeVcpus = (vm: Vm, log: TraceLog, addresses: AddressMap): VcpuWriter =>
  new VcpuWriter(vm, log, addresses);
