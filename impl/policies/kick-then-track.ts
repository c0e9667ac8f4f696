/**
 * kick-then-track (P2): a flag bars vCPUs from the TD, every vCPU is kicked, TRACK is called, then
 * the flag is cleared; a kicked vCPU spins until then. TDX series v5 and v6 (2022); upstream
 * reversed the order to track, then kick.
 *
 * It satisfies every rule because of the flag: a vCPU that enters after TRACK enters in the new
 * epoch. Without the flag a vCPU re-enters in the old epoch, between kick and TRACK (B-68). Its
 * disadvantage is the time that vCPUs spin.
 */
import type { Steps } from '../../spec/machine/step.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { kickAll, withoutVcpus } from '../blocks/seamcalls.ts';
import { zapLeaf, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** TRACK with every vCPU outside and barred, so that it is never busy. */
export function* kickThenTrack(vm: Vm): Steps<void> {
  yield* vm.m.write(vm.noEntry, 1);
  yield* kickAll(vm);
  yield* vm.seamcall(memTrack, { rcx: vm.address(vm.tdr) });
  yield* vm.m.write(vm.noEntry, 0);
}

const HOW = { call: withoutVcpus, track: kickThenTrack };

export const kickThenTrackPolicy: Policy = {
  ...frozenMirror,
  name: 'kick-then-track',
  group: 'proposal',
  title: 'bar and kick vCPUs before TRACK; they spin until it is done',
  proposed: 'TDX series v5 and v6, 2022 (P2)',
  ...zappingBy((vm, place, at) => zapLeaf(vm, place, at, HOW)),
};

export default kickThenTrackPolicy;
