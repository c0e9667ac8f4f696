/**
 * kick-then-track (P2): vCPUs are kept out of the TD by a flag and kicked, then TRACK is called,
 * then the flag is cleared; who was kicked spins until then. The TDX series v5 and v6 (2022);
 * upstream turned it round to track, then kick.
 *
 * It holds every rule, because of the flag: whoever enters after TRACK enters in the new epoch.
 * Without it a vCPU comes back in the old epoch, between kick and TRACK (B-68). What speaks against
 * it is the time that vCPUs spin.
 */
import type { Steps } from '../../spec/machine/step.ts';
import { memTrack } from '../../spec/tdx/functions/mem-track.ts';
import { kickAll, withoutVcpus } from '../blocks/seamcalls.ts';
import { zapLeaf, zappingBy } from '../blocks/zap.ts';
import type { Policy } from '../vm/policy.ts';
import type { Vm } from '../vm/vm.ts';
import { frozenMirror } from './frozen-mirror.ts';

/** Nobody is inside, and nobody gets in, while the epoch moves on; so TRACK is never busy. */
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
  title: 'vCPUs are barred and kicked before TRACK, and spin until it is done',
  proposed: 'TDX series v5 and v6, 2022 (P2)',
  ...zappingBy((vm, place, at) => zapLeaf(vm, place, at, HOW)),
};

export default kickThenTrackPolicy;
