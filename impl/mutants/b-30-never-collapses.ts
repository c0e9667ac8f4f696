/** B-30: the condition was inverted, so that the walk passed everything over. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-30',
  title: 'When logging ends, no table gives way to a huge page',
  source: 'Linux 5.11, zap_collapsible_spte_range()',
  breaks: ['K25'],
  change: {
    *recoverHugePages() {},
  },
});
