/** Zaps by notifiers, as places for alterations. */
import { hasValue, levelOf, valueOf, type Event, type Trace } from './trace.ts';

/** Bit of a root's role that marks it invalid. */
export const INVALID: Readonly<Record<string, bigint>> = { '6.12': 1n << 11n, '7.3': 1n << 12n };
const FAR = 3000;

/** Change by which a notifier zaps a leaf under a root that is valid, as far as the trace shows. */
export function zapped(trace: Trace, from: number): Event {
  const isLoss = (e: Event): boolean =>
    levelOf(e) === 1 && trace.isLeaf(valueOf(e, 'old'), 1) && !trace.isPresent(valueOf(e, 'new'));
  return trace.first('chg', from, (e) => {
    if (
      !isLoss(e) ||
      trace.previous(e, ({ name }) => /^(zap_|nxzap|map)/.test(name)).name !== 'zap_leafs'
    )
      return false;
    if (trace.previous(e, ({ name }) => !/chg|spte_changed/.test(name)).name !== 'zap_leafs')
      return false;
    const put = trace.next(e, ({ name }) => name === 'put_root');
    if (hasValue(put, 'role')) return (valueOf(put, 'role') & (INVALID[trace.kernel] ?? 0n)) === 0n;
    // roots of a VM from before the trace have neither names nor a known beginning
    const isWhole = trace.lines
      .slice(0, FAR)
      .some((line) => line.includes('wl_ret: (kvm_page_track_register_notifier'));
    return (
      isWhole &&
      ['inval_roots', 'zap_all'].every(
        (name) => !trace.all(name).some(({ at }) => at < e.at && at > e.at - FAR),
      )
    );
  });
}
