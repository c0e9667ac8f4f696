/** B-30: the condition was inverted, so that the walk skipped everything. */
import { directMutant } from './mutant.ts';

export default directMutant({
  id: 'B-30',
  title: 'No table is replaced by a huge page when dirty logging ends',
  source: 'Linux 5.11, zap_collapsible_spte_range()',
  breaks: ['K25'],
  change: {
    *recoverHugePages() {},
  },
});
