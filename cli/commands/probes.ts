/** `sept probes`: prints the definitions of the probes that `sept trace` needs in a kernel. */
import { Command, Option } from 'commander';
import { TRACED_KERNELS } from '../../properties/traces/kernels/kernel.ts';
import { PROBE_FORMATS, probesFor, type ProbeFormat } from '../../properties/traces/probes.ts';
import type { KernelVersion } from '../../spec/kvm/layouts/table.ts';
import { EXIT_CLEAN, UsageError } from '../errors.ts';
import { print } from '../output.ts';

/** KVM has TDs since 6.16. This is the only kernel since then whose probes are known. */
const WITH_TDS: KernelVersion = '7.3';

/** The command. It calls `exit` with the exit status. */
export const probesCommand = (exit: (code: number) => void): Command =>
  new Command('probes')
    .description('print the probes that `sept trace` needs, to define them in a kernel')
    .addOption(
      new Option('--kernel <version>', 'version of the kernel')
        .choices(Object.keys(TRACED_KERNELS))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--format <format>', 'lines for tracefs, or a script for trace-cmd')
        .choices(PROBE_FORMATS)
        .default(PROBE_FORMATS[0]),
    )
    .addOption(new Option('--tdx', 'add the probes of a TDX host'))
    .addHelpText('after', '\ndocs/capture.md shows how to capture with them.')
    .action(
      ({
        kernel,
        format,
        tdx = false,
      }: {
        kernel: KernelVersion;
        format: ProbeFormat;
        tdx?: boolean;
      }) => {
        if (tdx && kernel !== WITH_TDS)
          throw new UsageError(`Linux ${kernel} has no TDs; --tdx takes --kernel ${WITH_TDS}`);
        print(probesFor(kernel, format, tdx));
        exit(EXIT_CLEAN);
      },
    );
