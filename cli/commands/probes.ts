/** `sept probes`: the definitions of the probes with which a kernel can be traced for `sept trace`. */
import { Command, Option } from 'commander';
import { TRACED_KERNELS } from '../../properties/traces/kernels/kernel.ts';
import { PROBE_FORMATS, probesFor, type ProbeFormat } from '../../properties/traces/probes.ts';
import type { KernelVersion } from '../../spec/kvm/layouts/table.ts';
import { EXIT_CLEAN, UsageError } from '../errors.ts';
import { print } from '../output.ts';

/** KVM has had TDs since 6.16; this is the only kernel since then whose probes are known. */
const WITH_TDS: KernelVersion = '7.3';

/** The command; it answers with the exit code. */
export const probesCommand = (exit: (code: number) => void): Command =>
  new Command('probes')
    .description('print the probes with which a kernel tells what `sept trace` judges')
    .addOption(
      new Option('--kernel <version>', 'which kernel')
        .choices(Object.keys(TRACED_KERNELS))
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--format <format>', 'lines for tracefs, or a script for trace-cmd')
        .choices(PROBE_FORMATS)
        .default(PROBE_FORMATS[0]),
    )
    .addOption(new Option('--tdx', 'also those of a host with TDs'))
    .addHelpText('after', '\nHow to capture with them is in docs/capture.md.')
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
