/** A rig with one TD and two vCPUs, built by the module's life-cycle functions. */
import { buildTd } from '../../impl/vm/build-td.ts';
import { ModuleRig, TDR, TDVPRS, type RigOptions } from '../../properties/module/rig/rig.ts';
import { atomically } from '../../spec/machine/step.ts';
import type { TdParams } from '../../spec/tdx/call.ts';
import { TD, VCPU_ACTIVE, VP } from '../../spec/tdx/td.ts';

export { TDR } from '../../properties/module/rig/rig.ts';

export interface TdRigOptions extends RigOptions {
  /** Whether the TD is finalised and can run, or is still being built (default: it can run). */
  readonly finalize?: boolean;
  readonly params?: Partial<TdParams>;
  /** Level of the root's entries (default: as TD_PARAMS say). */
  readonly rootLevel?: number;
}

export class TdRig extends ModuleRig {
  constructor({ finalize = true, params = {}, rootLevel, ...options }: TdRigOptions) {
    super(options);
    atomically(buildTd(this.tdx, TDR, TDVPRS, { params, finalize }));
    if (rootLevel !== undefined) this.m.poke(this.memory.word(TDR, TD.ROOT_LEVEL), rootLevel);
  }

  isInside(vcpu: number): boolean {
    return this.m.peek(this.memory.word(this.tdvpr(vcpu), VP.STATE)) === VCPU_ACTIVE;
  }
}
