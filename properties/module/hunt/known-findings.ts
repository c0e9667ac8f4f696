/**
 * The findings of docs/findings.md that a hunt can meet. Each is recognised by its cause: by what
 * happened in the run, by calls that must be there with certain answers, or by its symptom and the
 * functions that must be called; never by a scenario.
 */
import { LATE_EXIT, LATE_STAMP, LOST_PAGE, LOST_TABLE, LOST_WRITE, TORN_DOWN } from './facts.ts';
import type { Anomaly } from './hunter.ts';

interface Known {
  readonly finding: string;
  readonly symptom?: RegExp;
  /** Functions that must be called. */
  readonly functions?: readonly RegExp[];
  /** Calls with their answers. */
  readonly calls?: readonly RegExp[];
  /** What must have happened (facts.ts). */
  readonly fact?: string;
}

const UNEXPLAINED = /^no order/;

const KNOWN: readonly Known[] = [
  { finding: 'F13', fact: TORN_DOWN, functions: [/MNG\.VPFLUSHDONE/] },
  { finding: 'F6', fact: LOST_TABLE },
  {
    finding: 'F1',
    symptom: /PAGE\.ACCEPT answering TDX_PAGE_SIZE_MISMATCH/,
    functions: [/PAGE\.AUG/],
  },
  {
    finding: 'F2',
    symptom: /PAGE\.(REMOVE|RELOCATE|DEMOTE) stops the platform/,
    functions: [/PAGE\.AUG/],
  },
  { finding: 'F16', symptom: UNEXPLAINED, fact: LATE_STAMP },
  {
    finding: 'F5',
    symptom: UNEXPLAINED,
    calls: [/PAGE\.PROMOTE TDX_EPT_INVALID_PROMOTE_CONDITIONS/, /TDX_OPERAND_BUSY\|RCX/],
  },
  { finding: 'F18', symptom: UNEXPLAINED, fact: LOST_PAGE },
  { finding: 'F14', symptom: UNEXPLAINED, fact: LOST_WRITE },
  { finding: 'F15', symptom: /MEM\.(RD|WR) answering TDX_EPT_ENTRY_STATE_INCORRECT/ },
  { finding: 'F16', symptom: /PAGE\.RDMD answering/, functions: [/RANGE\.BLOCK/] },
  { finding: 'F10', symptom: /answering TD exit 48/, functions: [/PAGE\.AUG/], fact: LATE_EXIT },
  { finding: 'F10', symptom: /answering TDX_PREVIOUS_TLB_EPOCH_BUSY/, fact: LATE_EXIT },
  { finding: 'F10', symptom: /answering TDX_TLB_TRACKING_NOT_DONE/, fact: LATE_EXIT },
  { finding: 'F11', symptom: /MNG\.RD answering/ },
  { finding: 'F12', symptom: /VP\.ENTER answering TDX_VCPU_ASSOCIATED/ },
];

/** The id of every finding that a hunt recognises. */
export const KNOWN_FINDINGS: readonly string[] = [...new Set(KNOWN.map(({ finding }) => finding))];

/** Returns the id of the finding, or null for a new one. */
export function knownFinding({ symptom, functions, calls, facts }: Anomaly): string | null {
  const fits = (known: Known): boolean =>
    (known.symptom?.test(symptom) ?? true) &&
    (known.functions ?? []).every((wanted) => functions.some((name) => wanted.test(name))) &&
    (known.calls ?? []).every((wanted) => calls.some((call) => wanted.test(call))) &&
    (known.fact === undefined || facts.includes(known.fact));
  return KNOWN.find(fits)?.finding ?? null;
}
