/**
 * What several functions share about a vCPU: the check of its pages, and the words that record
 * where and when it last ran. No call reads those words here: the specification has no clock, one
 * VMCS for each vCPU, and one HKID for each TD. In 1.0, which is recorded step by step, their
 * writes are steps.
 *
 * Source: intel/tdx-module 1.5.01, src/common/helpers/helpers.c: map_tdvps();
 * docs/module-notes.md#life-cycle; tdx-module 1.0.03 (commit fd485aa of niooss-ledger/tdx-module),
 * src/common/data_structures/tdx_tdvps.h: tdvps_management_t; the order of writes is measured.
 */
import type { Steps } from '../machine/step.ts';
import type { Call } from './call.ts';
import type { TdxModule } from './module.ts';
import { tdGet, vpGet } from './operands.ts';
import * as S from './status.ts';
import { TD, VP } from './td.ts';

/** Whether the vCPU has all the pages for its TD's number of L2 VMs. */
export function tdvpsAllocated(tdx: TdxModule, call: Call): S.Status {
  const { min, perL2Vm, wrongNumber } = tdx.version.tdvps;
  const needed = min + perL2Vm * tdGet(tdx, call, TD.NUM_L2_VMS);
  return vpGet(tdx, call, VP.NUM_PAGES) < needed ? wrongNumber : S.SUCCESS;
}

/** Two times that alternate, since every exit has another one. */
const ODD_EXIT = 1;
const EVEN_EXIT = 2;

/** Records the time of a VM exit, of whatever reason, or of TDH.VP.INIT. */
export function* recordExit(tdx: TdxModule, tdvpr: number): Steps<void> {
  if (!tdx.version.writesVcpuHistory) return;
  const cell = tdx.memory.word(tdvpr, VP.LAST_EXIT_TSC);
  yield* tdx.m.write(cell, tdx.m.peek(cell) === ODD_EXIT ? EVEN_EXIT : ODD_EXIT);
}

/** Marks the VMCS of an entering vCPU as launched, unless it is since its association. */
export function* recordLaunch(tdx: TdxModule, tdvpr: number): Steps<void> {
  if (!tdx.version.writesVcpuHistory) return;
  const cell = tdx.memory.word(tdvpr, VP.LAUNCHED);
  if (tdx.m.peek(cell) === 0) yield* tdx.m.write(cell, 1);
}

/** Marks the VMCS of a vCPU that is flushed as not launched. */
export function* forgetLaunch(tdx: TdxModule, tdvpr: number): Steps<void> {
  if (tdx.version.writesVcpuHistory) yield* tdx.m.write(tdx.memory.word(tdvpr, VP.LAUNCHED), 0);
}

/** Records the TD's HKID in a vCPU that TDH.VP.INIT associates. */
export function* recordHkid(tdx: TdxModule, call: Call): Steps<void> {
  if (tdx.version.writesVcpuHistory)
    yield* tdx.m.write(tdx.memory.word(call.tdvpr, VP.ASSOC_HKID), tdGet(tdx, call, TD.HKID));
}
