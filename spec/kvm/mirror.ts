/**
 * The mirror root: KVM's own copy of the Secure EPT, in ordinary pages. A mirror table also holds
 * the number of the external page in which the module has the same table. Source: K43 to K51.
 */
import type { Geometry } from '../machine/geometry.ts';
import type { Machine } from '../machine/machine.ts';
import { NO_PAGE, type PageRef, type Pages } from '../machine/pages.ts';
import type { Steps } from '../machine/step.ts';
import { MIRROR_TABLE, SEPT_PAGE, Tables, type SptePlace } from './tables.ts';

/** The mirror of the Secure EPT: KVM's copy of its tables. */
export class Mirror extends Tables {
  /** The root table, or NO_PAGE if the VM is no TD. */
  readonly root: PageRef;

  constructor(m: Machine, pages: Pages, geometry: Geometry, rootLevel: number, exists = true) {
    super(m, pages, geometry, rootLevel);
    this.root = exists ? this.allocNow(MIRROR_TABLE, rootLevel, 0) : NO_PAGE;
  }

  /** Allocates a mirror table and its external page; NO_PAGE when either allocation fails. */
  *allocTable(level: number, gfn: number): Steps<PageRef> {
    const external = yield* this.pages.alloc(SEPT_PAGE);
    if (external === NO_PAGE) return NO_PAGE;
    const table = yield* this.alloc(MIRROR_TABLE, level, gfn);
    if (table === NO_PAGE) {
      yield* this.pages.free(external);
      return NO_PAGE;
    }
    this.setExternal(table, external);
    return table;
  }

  /** Walks from the root towards `level`, as far as tables go. */
  *walk(gfn: number, level: number): Steps<SptePlace> {
    return yield* this.walkFrom(this.root, gfn, level);
  }
}
