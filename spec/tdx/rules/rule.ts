/** A rule about the module alone. */
import type { Rule } from '../../machine/monitor.ts';
import type { TdxModule } from '../module.ts';

export type TdxRule = Rule<TdxModule>;
