/** TDH.PHYMEM.CACHE.WB. Source: docs/module-notes.md#key-ownership. */
import { describe, expect, test } from 'vitest';
import { HKID_FREE } from '../../../spec/tdx/keys.ts';
import { HKID, hpa, TDR, Testbed } from './testbed.ts';

const OTHER_TDR = 28;

/** Two TDs, of which the first is blocked. */
function blocked(subBlocks: number): Testbed {
  const bed = new Testbed(1, subBlocks);
  bed.ok('TDH.MNG.CREATE', { rcx: hpa(TDR), rdx: HKID });
  bed.ok('TDH.MNG.CREATE', { rcx: hpa(OTHER_TDR), rdx: HKID + 1 });
  bed.ok('TDH.MNG.VPFLUSHDONE', { rcx: hpa(TDR) });
  return bed;
}

describe('TDH.PHYMEM.CACHE.WB', () => {
  const START = 0;
  const RESUME = 1;

  test('CACHE.WB resumes where an interrupt stopped it, for the HKIDs flushed at its start', () => {
    const bed = blocked(4);
    const { m, keys } = bed.tdx;
    const bitmaps = (): number[] => [HKID, HKID + 1].map((hkid) => m.peek(keys.wbinvdBitmap(hkid)));
    expect(bed.status('TDH.PHYMEM.CACHE.WB', { rcx: START, interruptAfter: 2 })).toBe(
      'TDX_INTERRUPTED_RESUMABLE',
    );
    expect([m.peek(keys.intrPoint(0)), m.peek(keys.lock), m.peek(keys.wbtLock(0))]).toEqual([
      2, 0, 0,
    ]);
    bed.ok('TDH.MNG.VPFLUSHDONE', { rcx: hpa(OTHER_TDR) });
    expect(bed.status('TDH.PHYMEM.CACHE.WB', { rcx: RESUME, interruptAfter: 1 })).toBe(
      'TDX_INTERRUPTED_RESUMABLE',
    );
    expect(m.peek(keys.intrPoint(0))).toBe(3);
    expect(bitmaps()).toEqual([1, 1]);
    expect(bed.status('TDH.PHYMEM.CACHE.WB', { rcx: RESUME, interruptAfter: 1 })).toBe(
      'TDX_SUCCESS',
    );
    expect(bitmaps(), 'the second TD was blocked after the start').toEqual([0, 1]);
    expect(bed.status('TDH.PHYMEM.CACHE.WB', { rcx: RESUME })).toBe('TDX_WBCACHE_RESUME_ERROR');
    expect(bed.status('TDH.MNG.KEY.FREEID', { rcx: hpa(TDR) })).toBe('TDX_SUCCESS');
    expect(bed.status('TDH.MNG.KEY.FREEID', { rcx: hpa(OTHER_TDR) })).toBe(
      'TDX_WBCACHE_NOT_COMPLETE',
    );
  });

  test('CACHE.WB that starts with nothing to do discards an interrupted session', () => {
    const bed = blocked(2);
    bed.call('TDH.PHYMEM.CACHE.WB', { rcx: START, interruptAfter: 1 });
    bed.tdx.m.poke(bed.tdx.keys.state(HKID), HKID_FREE);
    expect(bed.status('TDH.PHYMEM.CACHE.WB', { rcx: START })).toBe('TDX_NO_HKID_READY_TO_WBCACHE');
    expect(bed.status('TDH.PHYMEM.CACHE.WB', { rcx: RESUME })).toBe('TDX_WBCACHE_RESUME_ERROR');
  });
});
