/** How far a TD is in its life, and which of its vCPUs are inside. Reading it takes no step. */
import type { Vm } from '../../../impl/vm/vm.ts';
import { KEYS_CONFIGURED, TD, VCPU_ACTIVE, VP } from '../../../spec/tdx/td.ts';

/** A word of the TDR. */
export const tdWord = (vm: Vm, word: number): number => vm.m.peek(vm.memory.word(vm.tdr, word));

/** The TD may still run: its HKID is assigned. */
export const isAlive = (vm: Vm): boolean => tdWord(vm, TD.LIFECYCLE) === KEYS_CONFIGURED;

/** The vCPU with this TDVPR is inside the TD. */
export const isInsideTd = (vm: Vm, tdvpr: number): boolean =>
  vm.m.peek(vm.memory.word(tdvpr, VP.STATE)) === VCPU_ACTIVE;

/** The vCPU is inside the TD and entered it before the last TRACK. */
export const isOfOldEpoch = (vm: Vm, tdvpr: number): boolean =>
  isInsideTd(vm, tdvpr) &&
  vm.m.peek(vm.memory.word(tdvpr, VP.VCPU_EPOCH)) !== tdWord(vm, TD.TD_EPOCH);
