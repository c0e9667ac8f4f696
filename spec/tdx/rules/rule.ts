import type { Rule } from '../../machine/monitor.ts';
import type { TdxModule } from '../module.ts';

/** A rule about the module alone. */
export type TdxRule = Rule<TdxModule>;
