/** Names of the tasks that change KVM's page tables, as globs of the kernel's event filters. */

/** Number of characters that the kernel keeps of a name. */
export const COMM_CHARACTERS = 15;

interface TaskName {
  readonly comm: string;
  readonly what: string;
}

/**
 * Tasks that acquire mmu_lock: vCPUs, the threads of a VMM that change its memory, and the tasks of
 * the kernel that invalidate mappings or recover huge pages. RCU callbacks acquire no lock. Source:
 * captures, and the names that QEMU, libvirt and other VMMs give their threads.
 */
export const TASK_NAMES: readonly TaskName[] = [
  { comm: 'CPU *', what: 'vCPUs as libvirt names them: CPU 0/KVM' },
  { comm: 'qemu*', what: 'QEMU' },
  { comm: 'kvm*', what: 'QEMU as kvm; kvm-nx-lpage-recovery' },
  { comm: '*vcpu*', what: 'vCPUs of other VMMs' },
  { comm: 'firecracker', what: 'another VMM' },
  { comm: 'cloud-hyperviso', what: 'another VMM' },
  { comm: 'crosvm*', what: 'another VMM' },
  { comm: 'mig/*', what: 'migration' },
  { comm: 'migration', what: 'migration' },
  { comm: 'live_migration', what: 'migration' },
  { comm: 'multifd*', what: 'migration' },
  { comm: 'postcopy*', what: 'migration' },
  { comm: 'bg_snapshot', what: 'snapshots with dirty logging' },
  { comm: 'call_rcu', what: "QEMU's thread that unmaps memory" },
  { comm: 'IO *', what: 'I/O threads of QEMU' },
  { comm: 'worker', what: "QEMU's pool of threads" },
  { comm: 'vhost*', what: 'vhost writes guest memory' },
  { comm: 'khugepaged', what: 'collapses pages of the host' },
  { comm: 'ksmd', what: 'merges pages of the host' },
  { comm: 'kswapd*', what: 'reclaims pages of the host' },
  { comm: 'kcompactd*', what: 'moves pages of the host' },
  { comm: 'kdamond*', what: 'ages pages of the host' },
  { comm: 'oom_reaper', what: 'unmaps the memory of a killed process' },
  { comm: 'kworker*', what: "zaps roots in 6.1; drops a process's last reference" },
];
