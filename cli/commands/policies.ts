/** `sept policies`: lists the policies and the known bugs that `sept check` takes by name. */
import { Command } from 'commander';
import { POLICIES } from '../../impl/index.ts';
import { MUTANTS } from '../../impl/mutants/index.ts';
import { EXIT_CLEAN } from '../errors.ts';
import { jsonOption, type SharedOptions } from '../options.ts';
import { print, printJson, table } from '../output.ts';

/** The command; it answers with the exit code. */
export const policiesCommand = (exit: (code: number) => void): Command =>
  new Command('policies')
    .description('list the policies and the known bugs that can be checked by name')
    .addOption(jsonOption())
    .action(({ json }: Pick<SharedOptions, 'json'>) => {
      const policies = POLICIES.map(({ name, group, title, vms }) => ({ name, group, title, vms }));
      const bugs = MUTANTS.map(({ policy, title, base, breaks }) => ({
        name: policy.name,
        title,
        base: base.name,
        breaks,
      }));
      if (json === true) printJson({ policies, bugs });
      else {
        print(
          table(
            ['policy', 'VMs', 'what it is'],
            policies.map(({ name, vms, title }) => [name, vms.join(', '), title]),
          ),
        );
        print('');
        print(
          table(
            ['known bug', 'of', 'breaks', 'what is wrong'],
            bugs.map(({ name, base, breaks, title }) => [name, base, breaks.join(', '), title]),
          ),
        );
      }
      exit(EXIT_CLEAN);
    });
