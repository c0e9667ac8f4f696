/** The rows of `transitions.json`: one call on an entry in a state, and the call's operands. */
import type { Operands } from '../../../../spec/tdx/call.ts';

export interface ForcedRow {
  readonly op: string;
  readonly opState: string;
  readonly level: number;
  readonly stateBefore: string;
  /** Tables only: the entries below. */
  readonly content: string | null;
  readonly tlbTracked: boolean;
  readonly rawBefore: string;
  readonly status: string;
  readonly stateAfter: string;
  readonly rawAfter: string;
  readonly chldcntDelta: number;
  readonly outRcx: string;
  readonly outRdx: string;
}

/** GPA of the entry. */
export const GPA = 0x40000000;
const SOURCE = 0x10000000;

/** HPAs, and the vCPU of calls from the guest. */
interface Addresses {
  readonly tdr: number;
  readonly newSmall: number;
  readonly newLarge: number;
  readonly guest: Partial<Operands>;
}

/** Operands by function; the rest take a mapping in RCX and the TDR in RDX. */
export function operandsFor(
  { op, level }: ForcedRow,
  { tdr, newSmall, newLarge, guest }: Addresses,
): Partial<Operands> {
  const mapping = { rcx: GPA + level, rdx: tdr };
  const plain = { rcx: GPA, rdx: tdr };
  const special: Readonly<Record<string, Partial<Operands>>> = {
    'TDH.MEM.SEPT.ADD': { ...mapping, r8: newSmall },
    'TDH.MEM.PAGE.ADD': { ...mapping, r8: newSmall, r9: SOURCE },
    'TDH.MEM.PAGE.AUG': { ...mapping, r8: level === 0 ? newSmall : newLarge },
    'TDH.MEM.PAGE.RELOCATE': { ...mapping, r8: newSmall },
    'TDH.MEM.PAGE.DEMOTE': { ...mapping, r8: newSmall },
    'TDH.MR.EXTEND': plain,
    'TDH.MEM.RD': plain,
    'TDH.MEM.WR': { ...plain, data: 1 },
    'TDG.MEM.PAGE.ACCEPT': { ...guest, rcx: GPA + level },
    'HW.GUEST.ACCESS': { ...guest, rcx: GPA },
  };
  return special[op] ?? mapping;
}
