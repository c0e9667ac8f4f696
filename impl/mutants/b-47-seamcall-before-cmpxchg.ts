/** B-47: a SEAMCALL cannot be undone when the cmpxchg that follows it fails. */
import { frozenMirror } from '../policies/frozen-mirror.ts';
import { seamcallFirst } from '../policies/seamcall-first.ts';
import { mutant } from './mutant.ts';

export default mutant({
  id: 'B-47',
  title: 'The module is called before the cmpxchg of the mirror entry',
  source: 'thread, message 12 (e5912f7d04ce7a27a68ce4328fc50ce594295c6c.camel@intel.com)',
  base: frozenMirror,
  breaks: ['K44', 'K51'],
  change: { fault: seamcallFirst.fault },
});
