/** Every function of the interface that is specified, by name. */
import type { InterfaceFunction } from '../module.ts';
import { pageAug } from './page-aug.ts';
import { memRd } from './mem-rd.ts';
import { memTrack } from './mem-track.ts';
import { memWr } from './mem-wr.ts';
import { mrExtend } from './mr-extend.ts';
import { mrFinalize } from './mr-finalize.ts';
import { pageAdd } from './page-add.ts';
import { pageDemote } from './page-demote.ts';
import { pagePromote } from './page-promote.ts';
import { pageRelocate } from './page-relocate.ts';
import { pageRemove } from './page-remove.ts';
import { rangeBlock } from './range-block.ts';
import { rangeUnblock } from './range-unblock.ts';
import { septRd } from './sept-rd.ts';
import { septRemove } from './sept-remove.ts';
import { pageAccept } from '../guest/accept.ts';
import { guestAccess } from '../guest/access.ts';
import { septAdd } from './sept-add.ts';

const ALL: readonly InterfaceFunction[] = [
  septAdd, pageAug, memRd, memTrack, memWr, mrExtend, mrFinalize, pageAdd, pageDemote, pagePromote, pageRelocate, pageRemove, rangeBlock, rangeUnblock, septRd, septRemove,
  pageAccept, guestAccess,];

export const FUNCTIONS: ReadonlyMap<string, InterfaceFunction> = new Map(ALL.map((fn) => [fn.name, fn]));
