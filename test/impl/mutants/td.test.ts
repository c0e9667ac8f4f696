/** The known bugs of TDs are caught; the policies without them pass. */
import { MUTANTS } from '../../../impl/mutants/index.ts';
import { describeCaught } from './caught.ts';

describeCaught(MUTANTS.filter(({ base }) => !base.vms.includes('vm')));
