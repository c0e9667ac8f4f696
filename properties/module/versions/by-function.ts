/** The part of docs/module-versions.md about functions. */
import {
  ASPECTS,
  NOT_INTERRUPTED,
  ONE_VERSION,
  type Aspect,
  type FunctionText,
} from './functions.ts';
import { NO_WALK } from './lock-names.ts';
import { Columns, isSame, table } from './markdown.ts';

const HEAD = `## By function

A call that succeeds, on the small platform, run in each version. What differs is in a table.

- **locks**: in the order in which they are taken, S shared or X exclusive; in parentheses the operand of OPERAND_BUSY
  if another call holds the lock. A page is locked in PAMT: its 1G and 2M entries shared, then its own; \`${NO_WALK}\`: its
  own alone. \`by exchange\` is no lock: the entry is changed by a compare-and-exchange.
- **released**: in this order. \`keeps\`: what a vCPU holds while it is in the guest.
- **entry**: the status, with operand RCX, for an entry in a state in which the call does not succeed; in a TD that can
  run, or for PAGE.ADD and MR.EXTEND one that is being built. Blocked entries are tracked; a table is empty, for PROMOTE
  full of accepted pages.
- **interrupt**: the outcome if an interrupt is pending; else the call does not look for one.
- **versions**: versions of the call; else the function has one version.
`;

/** Text that says nothing if it is the same in all versions. */
const USUAL: readonly string[] = ['', NOT_INTERRUPTED, ONE_VERSION];

export const functionsPart = (
  names: readonly string[],
  functions: readonly FunctionText[],
): string[] => {
  const alike = functions.filter(({ texts }) => ASPECTS.every((aspect) => isSame(texts[aspect])));
  const differing = functions.filter((one) => !alike.includes(one));
  return [HEAD, ...differing.flatMap((one) => section(names, one)), ...alikePart(alike)];
};

/** A function: a table of what differs, a line of the rest. */
function section(names: readonly string[], { title, texts }: FunctionText): string[] {
  const has = names.filter((_, i) => texts.locks[i] !== null);
  const own = (aspect: Aspect): readonly (string | null)[] =>
    texts[aspect].filter((text) => text !== null);
  const differing = ASPECTS.filter((aspect) => !isSame(own(aspect)));
  const same = ASPECTS.filter((aspect) => isSame(own(aspect)) && isTelling(own(aspect)[0]));
  const columns = new Columns(has, differing.map(own));
  const rows = differing.map((aspect) => [aspect, ...columns.of(own(aspect))]);
  const rest = same.map((aspect) => `${aspect} ${own(aspect)[0]}`).join('; ');
  return [
    `### ${title}`,
    '',
    ...(rows.length === 0 ? [] : table(['', ...columns.heads], rows)),
    ...(has.length < names.length ? [`Only in ${has.join(', ')}: ${rest}.`, ''] : []),
    ...(has.length === names.length && rest !== '' ? [`The same in all: ${rest}.`, ''] : []),
  ];
}

const isTelling = (text: string | null | undefined): boolean => !USUAL.includes(text ?? '');

/** The functions that are the same in all versions. */
function alikePart(functions: readonly FunctionText[]): string[] {
  const aspects = ASPECTS.filter((aspect) =>
    functions.some(({ texts }) => isTelling(texts[aspect][0])),
  );
  const rows = functions.map(({ title, texts }) => [
    title,
    ...aspects.map((aspect) => texts[aspect][0] ?? null),
  ]);
  return ['### The same in all versions', '', ...table(['', ...aspects], rows)];
}
