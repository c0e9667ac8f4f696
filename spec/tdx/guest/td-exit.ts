import type { Steps } from '../../machine/step.ts';
import type { TdxModule } from '../module.ts';

/** The VCPU leaves the TD. (Being written with the VCPU functions.) */
export function* tdExit(tdx: TdxModule, tdvpr: number): Steps<void> {
  yield tdx.memory.word(tdvpr, 0) * 8;
}
