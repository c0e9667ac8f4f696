/** `sept probes`: the definitions of the probes with which a kernel can be traced for `sept trace`. */
import { Command, Option } from 'commander';
import { TRACED_KERNELS } from '../../properties/traces/kernels/kernel.ts';
import { PROBE_FORMATS, probesFor, type ProbeFormat } from '../../properties/traces/probes.ts';
import type { KernelVersion } from '../../spec/kvm/layouts/table.ts';
import { EXIT_CLEAN } from '../errors.ts';
import { print } from '../output.ts';

/** The command; it answers with the exit code. */
export const probesCommand = (exit: (code: number) => void): Command =>
  new Command('probes')
    .description('print the probes with which a kernel tells what `sept trace` judges')
    .addOption(new Option('--kernel <version>', 'which kernel').choices(Object.keys(TRACED_KERNELS)).makeOptionMandatory())
    .addOption(new Option('--format <format>', 'lines for tracefs, or a script for trace-cmd')
      .choices(PROBE_FORMATS).default(PROBE_FORMATS[0]))
    .addHelpText('after', '\nHow to capture with them is in docs/capture.md.')
    .action(({ kernel, format }: { kernel: KernelVersion; format: ProbeFormat }) => {
      print(probesFor(kernel, format));
      exit(EXIT_CLEAN);
    });
