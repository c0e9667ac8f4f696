/**
 * The findings of docs/findings.md that a hunt can meet, each recognised by its symptom and by
 * functions that must be called.
 */
interface Known {
  readonly finding: string;
  readonly symptom: RegExp;
  readonly functions: readonly RegExp[];
}

const BY_PROMOTE = [/PAGE\.PROMOTE/];

const KNOWN: readonly Known[] = [
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
  {
    finding: 'F5',
    symptom: /PAGE\.PROMOTE answering TDX_EPT_INVALID_PROMOTE_CONDITIONS/,
    functions: [],
  },
  { finding: 'F6', symptom: /is refused a lock that is not held/, functions: BY_PROMOTE },
  { finding: 'F6', symptom: /MEM\..* answering/, functions: [...BY_PROMOTE, /SEPT\.ADD/] },
  { finding: 'F10', symptom: /answering TD exit 48/, functions: [/PAGE\.AUG/] },
  { finding: 'F10', symptom: /MEM\.TRACK answering TDX_PREVIOUS_TLB_EPOCH_BUSY/, functions: [] },
  { finding: 'F11', symptom: /MNG\.RD answering/, functions: [] },
  { finding: 'F12', symptom: /VP\.ENTER answering TDX_VCPU_ASSOCIATED/, functions: [] },
];

/** The id of every finding that a hunt recognises. */
export const KNOWN_FINDINGS: readonly string[] = [...new Set(KNOWN.map(({ finding }) => finding))];

/** Returns the id of the finding, or null for a new one. */
export function knownFinding(symptom: string, functions: readonly string[]): string | null {
  const fits = (known: Known): boolean =>
    known.symptom.test(symptom) &&
    known.functions.every((wanted) => functions.some((name) => wanted.test(name)));
  return KNOWN.find(fits)?.finding ?? null;
}
