/**
 * What the specifications offer to policies and rules that are written elsewhere
 * (`sept-conformance/spec`): the vocabulary of machine, KVM and module. How they work inside is not
 * part of it.
 */
export * from './machine/faults.ts';
export { entryAt, sizeAt } from './machine/levels.ts';
export * from './machine/machine.ts';
export { PAGE_BYTES } from './machine/memory.ts';
export * from './machine/monitor.ts';
export * from './machine/pages.ts';
export * from './machine/per-actor.ts';
export * from './machine/rule.ts';
export * from './machine/step.ts';
export * from './machine/vcpu.ts';

export * from './kvm/attributes.ts';
export * from './kvm/dynamic-pamt.ts';
export * from './kvm/folios.ts';
export * from './kvm/guest-memfd.ts';
export * from './kvm/guest-memory.ts';
export * from './kvm/invalidation.ts';
export * from './kvm/iterator.ts';
export * from './kvm/kvm.ts';
export * from './kvm/large-pages.ts';
export * from './kvm/memslots.ts';
export * from './kvm/mirror.ts';
export * from './kvm/nx-list.ts';
export * from './kvm/primary-mmu.ts';
export * from './kvm/roots.ts';
export * from './kvm/shadow-mmu.ts';
export * from './kvm/spte.ts';
export * from './kvm/tables.ts';
export * from './kvm/td-vm.ts';
export * from './kvm/vcpu-exit.ts';

export * from './tdx/call.ts';
export * from './tdx/entry.ts';
export * from './tdx/functions/index.ts';
export * from './tdx/keys.ts';
export * from './tdx/module.ts';
export * from './tdx/pamt.ts';
export * from './tdx/status.ts';
export * from './tdx/td.ts';
export * from './tdx/versions.ts';
