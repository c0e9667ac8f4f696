/** `sept probes`: prints the probes that `sept trace` needs, or a script that records with them. */
import { Command, Option } from 'commander';
import { captureScript } from '../../properties/traces/capture/script.ts';
import { KERNEL_NAMES, type KernelName } from '../../properties/traces/kernels/names.ts';
import { probesFor } from '../../properties/traces/probes.ts';
import { EXIT_CLEAN, UsageError } from '../errors.ts';
import { print } from '../output.ts';

/** KVM has TDs since 6.16. This is the only kernel since then whose probes are known. */
const WITH_TDS: KernelName = '7.3';

interface ProbesOptions {
  readonly kernel?: KernelName;
  readonly script?: boolean;
  readonly tdx?: boolean;
}

/** The command. It calls `exit` with the exit status. */
export const probesCommand = (exit: (code: number) => void): Command =>
  new Command('probes')
    .description('print the probes that `sept trace` needs, or a script that records with them')
    .addOption(new Option('--kernel <version>', 'version of the kernel').choices(KERNEL_NAMES))
    .addOption(
      new Option(
        '--script',
        'print a shell script that records a trace; without --kernel, of any of these kernels',
      ),
    )
    .addOption(new Option('--tdx', 'add the probes of a TDX host'))
    .addHelpText('after', '\ndocs/capture.md shows how to capture with them.')
    .action(({ kernel, script = false, tdx = false }: ProbesOptions) => {
      if (tdx && kernel !== undefined && kernel !== WITH_TDS)
        throw new UsageError(`Linux ${kernel} has no TDs; --tdx takes --kernel ${WITH_TDS}`);
      if (script) process.stdout.write(captureScript({ kernel, tdx }));
      else if (kernel !== undefined) print(probesFor(kernel, tdx));
      else
        throw new UsageError(
          `probes: takes --kernel ${KERNEL_NAMES.join(', ')}, or --script for all of them`,
        );
      exit(EXIT_CLEAN);
    });
