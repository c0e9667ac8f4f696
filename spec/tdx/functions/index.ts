/** Every interface function that is specified, by name. */
import { pageAccept } from '../guest/accept.ts';
import { guestAccess } from '../guest/access.ts';
import type { InterfaceFunction } from '../module.ts';
import { memRd } from './mem-rd.ts';
import { memTrack } from './mem-track.ts';
import { memWr } from './mem-wr.ts';
import { mngAddcx } from './mng-addcx.ts';
import { mngCreate } from './mng-create.ts';
import { mngInit } from './mng-init.ts';
import { mngKeyConfig } from './mng-key-config.ts';
import { mngKeyFreeid } from './mng-key-freeid.ts';
import { mngKeyReclaimid } from './mng-key-reclaimid.ts';
import { mngRd } from './mng-rd.ts';
import { mngVpflushdone } from './mng-vpflushdone.ts';
import { mrExtend } from './mr-extend.ts';
import { mrFinalize } from './mr-finalize.ts';
import { pageAdd } from './page-add.ts';
import { pageAug } from './page-aug.ts';
import { pageDemote } from './page-demote.ts';
import { pagePromote } from './page-promote.ts';
import { pageRelocate } from './page-relocate.ts';
import { pageRemove } from './page-remove.ts';
import { phymemCacheWb } from './phymem-cache-wb.ts';
import { phymemPageRdmd } from './phymem-page-rdmd.ts';
import { phymemPageReclaim } from './phymem-page-reclaim.ts';
import { phymemPageWbinvd } from './phymem-page-wbinvd.ts';
import { rangeBlock } from './range-block.ts';
import { rangeUnblock } from './range-unblock.ts';
import { septAdd } from './sept-add.ts';
import { septRd } from './sept-rd.ts';
import { septRemove } from './sept-remove.ts';
import { vpAddcx } from './vp-addcx.ts';
import { vpCreate } from './vp-create.ts';
import { vpEnter } from './vp-enter.ts';
import { vpFlush } from './vp-flush.ts';
import { vpInit } from './vp-init.ts';

const ALL: readonly InterfaceFunction[] = [
  septAdd,
  pageAug,
  memRd,
  memTrack,
  memWr,
  mrExtend,
  mrFinalize,
  pageAdd,
  pageDemote,
  pagePromote,
  pageRelocate,
  pageRemove,
  rangeBlock,
  rangeUnblock,
  septRd,
  septRemove,
  pageAccept,
  guestAccess,
  mngCreate,
  mngKeyConfig,
  mngAddcx,
  mngInit,
  mngVpflushdone,
  mngKeyFreeid,
  mngKeyReclaimid,
  mngRd,
  vpCreate,
  vpAddcx,
  vpInit,
  vpEnter,
  vpFlush,
  phymemPageReclaim,
  phymemPageRdmd,
  phymemPageWbinvd,
  phymemCacheWb,
];

export const FUNCTIONS: ReadonlyMap<string, InterfaceFunction> = new Map(
  ALL.map((fn) => [fn.name, fn]),
);

export {
  septAdd,
  pageAug,
  memRd,
  memTrack,
  memWr,
  mrExtend,
  mrFinalize,
  pageAdd,
  pageDemote,
  pagePromote,
  pageRelocate,
  pageRemove,
  rangeBlock,
  rangeUnblock,
  septRd,
  septRemove,
  pageAccept,
  guestAccess,
  mngCreate,
  mngKeyConfig,
  mngAddcx,
  mngInit,
  mngVpflushdone,
  mngKeyFreeid,
  mngKeyReclaimid,
  mngRd,
  vpCreate,
  vpAddcx,
  vpInit,
  vpEnter,
  vpFlush,
  phymemPageReclaim,
  phymemPageRdmd,
  phymemPageWbinvd,
  phymemCacheWb,
};
