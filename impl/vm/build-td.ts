/** Builds a TD as a VMM does, with the module's life-cycle functions, up to a TD that can run. */
import { PAGE_BYTES } from '../../spec/machine/memory.ts';
import type { Steps } from '../../spec/machine/step.ts';
import { OPERANDS_ZERO, type Operands, type TdParams } from '../../spec/tdx/call.ts';
import { mngAddcx } from '../../spec/tdx/functions/mng-addcx.ts';
import { mngCreate } from '../../spec/tdx/functions/mng-create.ts';
import { mngInit } from '../../spec/tdx/functions/mng-init.ts';
import { mngKeyConfig } from '../../spec/tdx/functions/mng-key-config.ts';
import { mrFinalize } from '../../spec/tdx/functions/mr-finalize.ts';
import { vpAddcx } from '../../spec/tdx/functions/vp-addcx.ts';
import { vpCreate } from '../../spec/tdx/functions/vp-create.ts';
import { vpInit } from '../../spec/tdx/functions/vp-init.ts';
import type { InterfaceFunction, TdxModule } from '../../spec/tdx/module.ts';
import { describeStatus, SUCCESS } from '../../spec/tdx/status.ts';
import { PLAIN_TD_PARAMS } from '../../spec/tdx/td-params.ts';
import { MIN_TDVPS_PAGES } from '../../spec/tdx/td.ts';

/** Number of pages of a vCPU, its TDVPR included, in every version. */
export const TDVPR_PAGES = MIN_TDVPS_PAGES;

const TD_PARAMS: TdParams = { ...PLAIN_TD_PARAMS, maxVcpus: 8 };

/** Address of TD_PARAMS; the module checks its alignment only. */
const TD_PARAMS_ADDRESS = 0x1000_0000;

/** Operands of TDH.MNG.INIT besides the TD. */
export const initOperands = (
  params: Partial<TdParams> = {},
): Pick<Operands, 'rdx' | 'tdParams'> => ({
  rdx: TD_PARAMS_ADDRESS,
  tdParams: { ...TD_PARAMS, ...params },
});

/**
 * Operands of TDH.VP.INIT besides the vCPU: as Linux does, its newest version, with the number of
 * the vCPU as its x2APIC id.
 */
export const vcpuIdOperands = (
  { version: { vpInitVersion: version } }: TdxModule,
  vcpu: number,
): Pick<Operands, 'version' | 'r8'> => ({ version, r8: vcpu });

/** What differs from a production TD that can run. */
interface BuildOptions {
  readonly params?: Partial<TdParams>;
  /** False: the build stops before MR.FINALIZE, so that pages can still be added. */
  readonly finalize?: boolean;
  /** Called for each page before the module gets it; nothing when absent. */
  readonly cover?: (page: number) => Steps<void>;
}

/**
 * Builds the TD whose TDR is page `tdr`, followed by its TDCX pages, with a vCPU at each of
 * `tdvprs`.
 */
export function* buildTd(
  tdx: TdxModule,
  tdr: number,
  tdvprs: readonly number[],
  { params = {}, finalize = true, cover = function* () {} }: BuildOptions = {},
): Steps<void> {
  const hpa = (page: number): number => (page + tdx.platform.tdmrBase) * PAGE_BYTES;
  const hkid = tdx.keys.first + 1;
  yield* cover(tdr);
  yield* mustSucceed(tdx, mngCreate, { rcx: hpa(tdr), rdx: hkid });
  for (let lp = 0; lp < tdx.platform.packages; lp++)
    yield* mustSucceed(tdx, mngKeyConfig, { rcx: hpa(tdr), lp });
  for (let page = tdr + 1; page <= tdr + tdx.version.tdcx.min; page++) {
    yield* cover(page);
    yield* mustSucceed(tdx, mngAddcx, { rcx: hpa(page), rdx: hpa(tdr) });
  }
  yield* mustSucceed(tdx, mngInit, { rcx: hpa(tdr), ...initOperands(params) });
  for (const [lp, tdvpr] of tdvprs.entries()) {
    yield* cover(tdvpr);
    yield* mustSucceed(tdx, vpCreate, { rcx: hpa(tdvpr), rdx: hpa(tdr), lp });
    for (let page = tdvpr + 1; page < tdvpr + TDVPR_PAGES; page++) {
      yield* cover(page);
      yield* mustSucceed(tdx, vpAddcx, { rcx: hpa(page), rdx: hpa(tdvpr), lp });
    }
    yield* mustSucceed(tdx, vpInit, { rcx: hpa(tdvpr), lp, ...vcpuIdOperands(tdx, lp) });
  }
  if (finalize) yield* mustSucceed(tdx, mrFinalize, { rcx: hpa(tdr) });
}

function* mustSucceed(
  tdx: TdxModule,
  fn: InterfaceFunction,
  operands: Partial<Operands>,
): Steps<void> {
  const call = yield* tdx.invoke(fn, { ...OPERANDS_ZERO, ...operands });
  if (call.status !== SUCCESS)
    throw new Error(`building a TD: ${fn.name} returned ${describeStatus(call.status)}`);
}
