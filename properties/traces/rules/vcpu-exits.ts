/** When vCPUs leave the guest, as far as `kvm_exit` shows it: K20 and K23. */
import type { World } from '../state/world.ts';

/**
 * Whether a vCPU may have left the guest although its `kvm_exit` is still to come: also while the
 * kernel is not known.
 */
export const mayReportExitsLate = ({ kernel }: World): boolean =>
  kernel?.reportsExitsLate !== false;

/** Why a vCPU that seems to be in the guest is not judged. */
export const LATE_EXIT = 'kvm_exit comes after the vCPU has left the guest';
