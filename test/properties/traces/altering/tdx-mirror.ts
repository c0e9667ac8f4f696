/** Alterations of the mirror of a TD, and of what the Secure EPT holds: K44 to K53. */
import {
  after,
  DELETED,
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

export const TDX_MIRROR: readonly TdxAlteration[] = [
  {
    what: 'a page enters the mirror although AUG failed',
    of: PLAIN,
    rule: 'K44',
    alter: (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_aug_ret'),
        'status=0x0',
        'status=0xc0000b0d00000001',
      );
      return after(lines, at, 'chg');
    },
  },
  {
    what: 'a task calls AUG without freezing the entry',
    of: PLAIN,
    rule: 'K44',
    alter: (lines) => {
      const call = find(lines, 'tdh_mem_page_aug');
      drop(lines, call - 1);
      return call;
    },
  },
  {
    what: 'the mirror and the Secure EPT get different pages',
    of: PLAIN,
    rule: 'K44',
    alter: (lines) => {
      const call = edit(lines, find(lines, 'tdh_mem_page_aug'), 'pfn=0x103000', 'pfn=0x103001');
      return after(lines, call, 'chg');
    },
  },
  {
    what: 'a page is added before the table above it',
    of: PLAIN,
    rule: 'K45',
    alter: (lines) => {
      drop(lines, after(lines, find(lines, 'tdh_mem_sept_add', -1), 'chg'));
      dropCall(lines, 'tdh_mem_sept_add', -1);
      return find(lines, 'tdh_mem_page_aug');
    },
  },
  {
    what: 'a leaf leaves the mirror under mmu_lock held for read',
    of: PLAIN,
    rule: 'K46',
    alter: (lines) => {
      const block = find(lines, 'tdh_mem_range_block');
      const lock = lines.findLastIndex((line, i) => i < block && eventNamed('wl').test(line));
      edit(lines, lock, 'wl: (_raw_write', 'rl: (_raw_read');
      edit(lines, lock + 1, 'wl_ret', 'rl_ret');
      return edit(lines, block - 1, 'shared=0', 'shared=1');
    },
  },
  {
    what: 'a page leaves the mirror and stays in the Secure EPT',
    of: PLAIN,
    rule: 'K47',
    alter: (lines) => {
      dropCall(lines, 'tdh_mem_page_remove');
      return after(lines, find(lines, 'tdh_mem_range_block'), 'wu');
    },
  },
  {
    what: 'a table is blocked while it has pages',
    of: PLAIN,
    rule: 'K48',
    alter: (lines) => {
      const block = edit(
        lines,
        find(lines, 'tdh_mem_range_block'),
        /gpa=\S+ level=1/,
        'gpa=0x0 level=2',
      );
      return after(lines, block, 'tdh_mem_page_remove');
    },
  },
  {
    what: 'a large page becomes a table without DEMOTE',
    of: SPLIT,
    rule: 'K49',
    alter: (lines) => {
      const at = find(lines, 'tdh_mem_page_demote');
      dropCall(lines, 'tdh_mem_page_demote');
      return after(lines, at, 'chg');
    },
  },
  {
    what: 'a leaf of a deleted memslot stays in the mirror',
    of: DELETED,
    rule: 'K50',
    alter: (lines) => {
      const slot = find(lines, 'slot');
      edit(lines, slot, /gfn=\S+ n=\S+/, 'gfn=0x0 n=0x40400');
      return after(lines, slot, 'slot_ret');
    },
  },
  {
    what: 'the deletion of a memslot zaps a leaf of another one',
    of: DELETED,
    rule: 'K50',
    alter: (lines) => {
      const slot = edit(lines, find(lines, 'slot'), /gfn=\S+ n=\S+/, 'gfn=0x200 n=0x1');
      return after(lines, slot, 'chg');
    },
  },
  {
    what: 'the host uses a page that REMOVE failed to remove',
    of: PLAIN,
    rule: 'K51',
    alter: (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_remove_ret'),
        'status=0x0',
        'status=0xc000010000000001',
      );
      // KVM gives the VM up, and forgets to leak the page
      lines.splice(
        at + 1,
        0,
        (lines[at] ?? '').replace(
          /tdh_.*/,
          'request: (kvm_make_all_cpus_request+0x4) kvm=0xffff888100000000 req=0x301',
        ),
      );
      return find(lines, 'reset_page');
    },
  },
  {
    what: 'a page is added by AUG while the TD is built',
    of: PLAIN,
    rule: 'K52',
    alter: (lines) => {
      dropCall(lines, 'tdh_mr_finalize');
      return find(lines, 'tdh_mem_page_aug');
    },
  },
  {
    what: 'KVM continues after BUSY as if AUG had succeeded',
    of: PLAIN,
    rule: 'K53',
    alter: (lines) => {
      const at = edit(
        lines,
        find(lines, 'tdh_mem_page_aug_ret'),
        'status=0x0',
        'status=0x8000020000000092',
      );
      return after(lines, at, 'tdx_sept_set_private_spte_ret');
    },
  },
  {
    what: 'an entry becomes present after BUSY under mmu_lock held for write',
    of: MERGED,
    rule: 'K53',
    alter: (lines) => {
      const call = find(lines, 'tdh_mem_page_aug');
      drop(lines, call - 1);
      const end = edit(
        lines,
        after(lines, call, 'tdh_mem_page_aug_ret'),
        'status=0x0',
        'status=0x8000020000000092',
      );
      drop(lines, after(lines, end, 'tdx_sept_set_private_spte_ret'));
      return after(lines, end, 'chg');
    },
  },
];
