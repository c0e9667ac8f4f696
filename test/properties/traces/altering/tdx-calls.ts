/** Alterations of calls of the module and of vCPUs that run in a TD: K54 to K67. */
import {
  after,
  BUSY,
  drop,
  dropCall,
  edit,
  find,
  MERGED,
  eventNamed,
  PLAIN,
  SPLIT,
  type TdxAlteration,
} from './tdx-lines.ts';
import { atTimeOf } from './times.ts';

export const TDX_CALLS: readonly TdxAlteration[] = [
  {
    what: 'a page is removed without BLOCK',
    of: PLAIN,
    rule: 'K54',
    alter: (lines) => {
      dropCall(lines, 'tdh_mem_range_block');
      return find(lines, 'tdh_mem_page_remove');
    },
  },
  {
    what: 'a page is removed without TRACK',
    of: PLAIN,
    rule: 'K54',
    alter: (lines) => {
      dropCall(lines, 'tdh_mem_track');
      return find(lines, 'tdh_mem_page_remove');
    },
  },
  {
    what: 'a page is removed while a vCPU runs in the TD since before TRACK',
    of: PLAIN,
    rule: 'K54',
    alter: (lines) => {
      const remove = find(lines, 'tdh_mem_page_remove');
      const exit = lines.findLastIndex(
        (line, i) => i < remove && eventNamed('kvm_exit').test(line),
      );
      drop(lines, exit);
      return remove;
    },
  },
  {
    what: 'the host uses a page whose cache lines were not written back',
    of: PLAIN,
    rule: 'K54',
    alter: (lines) => {
      dropCall(lines, 'tdh_phymem_page_wbinvd');
      return find(lines, 'reset_page');
    },
  },
  {
    what: 'TRACK is called while a vCPU runs in the previous epoch',
    of: PLAIN,
    rule: 'K55',
    alter: (lines) =>
      edit(lines, find(lines, 'tdh_mem_track_ret'), 'status=0x0', 'status=0x8000020100000000'),
  },
  {
    what: 'a refused removal is repeated while vCPUs may enter',
    of: BUSY,
    rule: 'K56',
    alter: (lines) => {
      const bar = drop(lines, find(lines, 'bar'));
      return lines.findIndex((line, i) => i > bar && / h\d-.* tdh_mem_\w+: /.test(line));
    },
  },
  {
    what: 'a removal is refused a second time',
    of: BUSY,
    rule: 'K56',
    alter: (lines) => {
      const again = lines.findIndex(
        (line, i) => i > find(lines, 'bar') && / h\d-.* tdh_mem_\w+_ret: /.test(line),
      );
      return edit(lines, again, 'status=0x0', 'status=0x8000020000000092');
    },
  },
  {
    what: 'mmu_lock is released while vCPUs are barred from the TD',
    of: BUSY,
    rule: 'K56',
    alter: (lines) => after(lines, drop(lines, find(lines, 'unbar')), 'wu'),
  },
  {
    what: 'an exit is handled twice',
    of: PLAIN,
    rule: 'K57',
    alter: (lines) => {
      const exit = find(lines, 'tdx_handle_exit');
      const handled = after(lines, exit, 'tdx_handle_exit_ret');
      lines.splice(handled + 1, 0, atTimeOf(lines[exit] ?? '', lines[handled] ?? ''));
      return after(lines, exit, 'tdx_handle_exit');
    },
  },
  {
    what: 'a vCPU re-enters the TD without its fault resolved',
    of: PLAIN,
    rule: 'K58',
    alter: (lines) => {
      const fault = find(lines, 'tdp_fault');
      const end = after(lines, fault, 'tdx_handle_exit_ret');
      lines.splice(fault + 1, end - fault - 1);
      return fault + 1;
    },
  },
  {
    what: 'an exit is handled although TDH.VP.ENTER was refused',
    of: PLAIN,
    rule: 'K59',
    alter: (lines) => {
      edit(lines, find(lines, 'tdh_vp_enter_ret'), 'status=0x0', 'status=0x8000020000000001');
      return find(lines, 'tdx_handle_exit');
    },
  },
  {
    what: 'the TDR is reclaimed before other pages',
    of: PLAIN,
    rule: 'K62',
    alter: (lines) =>
      edit(
        lines,
        find(lines, 'tdh_phymem_page_reclaim_ret'),
        'status=0x0',
        'status=0xc000040000000000',
      ),
  },
  {
    what: 'VPFLUSHDONE is called before every vCPU is flushed',
    of: PLAIN,
    rule: 'K62',
    alter: (lines) =>
      edit(
        lines,
        find(lines, 'tdh_mng_vpflushdone_ret'),
        'status=0x0',
        'status=0x8000082400000000',
      ),
  },
  {
    what: 'a large page is split without being blocked',
    of: SPLIT,
    rule: 'K65',
    alter: (lines) =>
      edit(
        lines,
        find(lines, 'tdh_mem_page_demote_ret'),
        'status=0x0',
        'status=0xc0000b0600000001',
      ),
  },
  {
    what: 'an interrupted merge is abandoned half way',
    of: MERGED,
    rule: 'K66',
    alter: (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_promote_ret'),
        'status=0x0',
        'status=0x8000000400000000',
      );
      drop(lines, after(lines, at, 'chg'));
      return after(lines, at, 'wu');
    },
  },
  {
    what: 'a table stays blocked after its merge failed',
    of: MERGED,
    rule: 'K67',
    alter: (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_promote_ret'),
        'status=0x0',
        'status=0xc0000b0900000001',
      );
      drop(lines, after(lines, at, 'chg'));
      return after(lines, at, 'wu');
    },
  },
  {
    what: 'a vCPU exits to user space when TDH.VP.ENTER is refused',
    of: PLAIN,
    rule: 'K59',
    alter: (lines) => {
      const refused = edit(
        lines,
        find(lines, 'tdh_vp_enter_ret'),
        'status=0x0',
        'status=0x8000020000000001',
      );
      const exit = after(lines, refused, 'kvm_exit');
      lines.splice(
        exit + 1,
        0,
        (lines[exit] ?? '').replace(/kvm_exit: .*/, 'kvm_userspace_exit: reason error (16)'),
      );
      return exit + 1;
    },
  },
  {
    what: 'the HKID is freed before caches are written back',
    of: PLAIN,
    rule: 'K62',
    alter: (lines) => {
      dropCall(lines, 'tdh_phymem_cache_wb');
      return find(lines, 'tdh_mng_key_freeid');
    },
  },
];
