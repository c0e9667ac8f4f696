/**
 * Zero-step mitigation. (Written with the VCPU functions; the guest side calls these two.)
 */
import type { TdxModule } from './module.ts';
import { VP } from './td.ts';

/** The guest's RIP moves on: an instruction completed. */
export function advanceRip(tdx: TdxModule, tdvpr: number): void {
  const cell = tdx.memory.word(tdvpr, VP.RIP);
  tdx.m.poke(cell, tdx.m.peek(cell) + 1);
}

/** An EPT violation on a private GPA (bytes) is about to end in a TD exit. */
export function noteViolation(tdx: TdxModule, tdvpr: number, gpa: number): void {
  void tdx; void tdvpr; void gpa;
}
