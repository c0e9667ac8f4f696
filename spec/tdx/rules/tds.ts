/** The TDs, their vCPUs and their pages, as rules read them from PAMT, TDRs and TDVPRs. */
import type { TdxModule } from '../module.ts';
import { SIZES, TDR, TDVPR } from '../pamt.ts';
import { KEYS_CONFIGURED, TD, UNINITIALIZED, VCPU_ACTIVE, VP } from '../td.ts';

/** A field of the TD whose TDR is page `tdr`. */
export const fieldOf = (tdx: TdxModule, tdr: number, index: number): number =>
  tdx.m.peek(tdx.memory.word(tdr, index));

/** The TDs that have a Secure EPT, by page number of their TDR. */
export function tdsOf(tdx: TdxModule): number[] {
  const tds: number[] = [];
  tdx.pamt.forEachAssigned(0, (page, type) => {
    if (type === TDR && hasTree(tdx, page)) tds.push(page);
  });
  return tds;
}

const hasTree = (tdx: TdxModule, tdr: number): boolean =>
  fieldOf(tdx, tdr, TD.LIFECYCLE) === KEYS_CONFIGURED &&
  fieldOf(tdx, tdr, TD.NUM_TDCX) >= tdx.version.tdcx.min &&
  fieldOf(tdx, tdr, TD.OP_STATE) !== UNINITIALIZED;

/** The TDVPR pages of a TD. */
export function vcpusOf(tdx: TdxModule, tdr: number): number[] {
  const vcpus: number[] = [];
  tdx.pamt.forEachAssigned(0, (page, type, owner) => {
    if (type === TDVPR && owner === tdr) vcpus.push(page);
  });
  return vcpus;
}

/** Whether the vCPU with that TDVPR page is in the guest. */
export const isInGuest = (tdx: TdxModule, tdvpr: number): boolean =>
  tdx.m.peek(tdx.memory.word(tdvpr, VP.STATE)) === VCPU_ACTIVE;

/** Number of 4K pages that PAMT assigns to a TD, its TDR not counted. */
export function ownedPages(tdx: TdxModule, tdr: number): number {
  let owned = 0;
  for (let size = 0; size < SIZES.length; size++) {
    const span = tdx.geometry.span(size);
    tdx.pamt.forEachAssigned(size, (_page, _type, owner) => {
      if (owner === tdr) owned += span;
    });
  }
  return owned;
}
