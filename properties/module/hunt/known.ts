/**
 * Which finding of docs/findings.md a symptom is of: by what is wrong, and a function that has to
 * be in it.
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
  { finding: 'F6', symptom: /is refused a lock that nobody holds/, functions: BY_PROMOTE },
  { finding: 'F6', symptom: /MEM\..* answering/, functions: [...BY_PROMOTE, /SEPT\.ADD/] },
  { finding: 'F10', symptom: /answering TD exit 48/, functions: [/PAGE\.AUG/] },
  { finding: 'F10', symptom: /MEM\.TRACK answering TDX_PREVIOUS_TLB_EPOCH_BUSY/, functions: [] },
  { finding: 'F11', symptom: /MNG\.RD answering/, functions: [] },
  { finding: 'F12', symptom: /VP\.ENTER answering TDX_VCPU_ASSOCIATED/, functions: [] },
];

/** Every finding that a hunt tells from others. */
export const FINDINGS_OF_HUNTS: readonly string[] = [
  ...new Set(KNOWN.map(({ finding }) => finding)),
];

/** The finding's id, or null for something new. */
export function knownCause(symptom: string, functions: readonly string[]): string | null {
  const isOf = (known: Known): boolean =>
    known.symptom.test(symptom) &&
    known.functions.every((wanted) => functions.some((name) => wanted.test(name)));
  return KNOWN.find(isOf)?.finding ?? null;
}
