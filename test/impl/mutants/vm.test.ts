/** The known bugs of ordinary VMs are caught; what is good but for them passes. */
import { MUTANTS } from '../../../impl/mutants/index.ts';
import { describeCaught } from './caught.ts';

describeCaught(MUTANTS.filter(({ base }) => base.vms.includes('vm')));
