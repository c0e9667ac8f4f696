/** Nothing undoes a call when the exchange that follows it fails. */
import { frozenMirror } from '../policies/frozen-mirror.ts';
import { seamcallFirst } from '../policies/seamcall-first.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-47',
  title: 'the module is called before the mirror is exchanged, and there is no way back',
  source: 'thread, message 12 (e5912f7d04ce7a27a68ce4328fc50ce594295c6c.camel@intel.com)',
  base: frozenMirror,
  breaks: ['K44', 'K51'],
  change: { fault: seamcallFirst.fault },
});
