/**
 * The names of the locks that a call takes. The PAMT entries of a page, which a walk locks from 1G
 * down to the page's own, count as one lock; so do the entries of a table.
 */
import type { Cell } from '../../../spec/machine/machine.ts';
import { pageTypeName, SIZES, EPT, NDA, REG, TDR } from '../../../spec/tdx/pamt.ts';
import { TD } from '../../../spec/tdx/td.ts';
import type { ModuleRig } from '../rig/rig.ts';

/** Locks that have one name, by their indexes among all. */
export interface LockGroup {
  readonly name: string;
  readonly indexes: readonly number[];
  /** They are locks inside entries of the Secure EPT. */
  readonly isEntry: boolean;
}

const ENTRY = 'entry';
/** The entries of a table. */
const CHILDREN = 'children';

/** Follows the name of a page whose own PAMT entry is locked without a walk to it. */
export const NO_WALK = '*';

const GIGA = 2;

/** Names of a page's lock by its type; others have the type's name. */
const PAGE_NAMES: ReadonlyMap<number, string> = new Map([
  [NDA, 'free page'],
  [REG, 'page'],
  [EPT, 'S-EPT page'],
  [TDR, 'TDR'],
]);

/** Pages that become one: nothing walks to an entry that is no page yet. */
const MERGED = 'merged page';

const FIELD_NAMES: readonly (readonly [number, string])[] = [
  [TD.SEPT_LOCK, 'tree'],
  [TD.EPOCH_LOCK, 'epoch'],
  [TD.OP_STATE_LOCK, 'OP_STATE'],
];

/** The locks in the order in which they are taken, in groups. `entry` is the entry of the call. */
export function lockGroups(rig: ModuleRig, cells: readonly Cell[], entry: Cell): LockGroup[] {
  const { pamt } = rig.tdx;
  const groups: LockGroup[] = [];
  for (let i = 0; i < cells.length;) {
    const first = pamt.entryOf(cells[i] as Cell); // below the length
    const length = first?.size === GIGA ? walkLength(rig, cells, i) : 1;
    const indexes = Array.from({ length }, (_, at) => i + at);
    const name = nameOf(rig, cells[i + length - 1] as Cell, length > 1, entry);
    const previous = groups.at(-1);
    const isEntry = name === ENTRY || name === CHILDREN;
    if (previous?.name === name)
      groups[groups.length - 1] = { name, indexes: [...previous.indexes, ...indexes], isEntry };
    else groups.push({ name, indexes, isEntry });
    i += length;
  }
  return groups;
}

/** Number of attempts of a PAMT walk: down to 4K, or to the entry of a larger page, and again. */
function walkLength({ tdx: { pamt } }: ModuleRig, cells: readonly Cell[], from: number): number {
  const sizes = [1, 2].map((at) => pamt.entryOf(cells[from + at] ?? -1)?.size ?? -1);
  return sizes[0] !== 1 ? 1 : sizes[1] === 0 || cells[from + 1] === cells[from + 2] ? 3 : 2;
}

function nameOf(rig: ModuleRig, cell: Cell, isWalked: boolean, entry: Cell): string {
  const { m, memory, tdx, tdr } = rig;
  const at = tdx.pamt.entryOf(cell);
  if (at !== null) {
    const type = tdx.pamt.type(at.page, at.size);
    const size = at.size === 0 ? '' : ` (${SIZES[at.size]})`;
    const name = type === NDA && !isWalked ? MERGED : (PAGE_NAMES.get(type) ?? pageTypeName(type));
    return `${name}${isWalked ? '' : NO_WALK}${size}`;
  }
  const field = FIELD_NAMES.find(([word]) => memory.word(tdr, word) === cell);
  if (field !== undefined) return field[1];
  if (cell === entry) return ENTRY;
  return m.nameOf(cell).startsWith('page ') ? CHILDREN : m.nameOf(cell).replace(/[([].*/, '');
}
