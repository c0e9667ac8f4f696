/** Kernels whose traces are known, oldest first. */
export const KERNEL_NAMES = ['6.1', '6.12', '6.16', '6.18', '7.2', '7.3'] as const;
export type KernelName = (typeof KERNEL_NAMES)[number];
