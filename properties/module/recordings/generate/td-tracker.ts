/**
 * Tracks the TDs of a life-cycle scenario: the stage of each, and the pages and HKIDs that are
 * free.
 */
import { PAGE_BYTES } from '../../../../spec/machine/memory.ts';
import { HKID_FREE } from '../../../../spec/tdx/keys.ts';
import { NDA } from '../../../../spec/tdx/pamt.ts';
import { TD, TDVPS_PAGES_PER_L2_VM, VCPU_ACTIVE, VP } from '../../../../spec/tdx/td.ts';
import type { LifecycleConfig } from '../format/config.ts';
import { hexOf } from '../format/values.ts';
import { isTdvpr, TD_FIELDS } from '../replay/observe.ts';
import { word, type Slot, type Universe } from '../universe/universe.ts';
import type { Recorder } from './record.ts';
import type { Rng } from './rng.ts';

const MANAGING_LPS = [4, 5, 6, 7];
const SPARE_PAGES = 24;

/** The stage of a TD's life. */
export type Stage =
  | 'none'
  | 'HKID_ASSIGNED'
  | 'UNINITIALIZED'
  | 'INITIALIZED'
  | 'RUNNABLE'
  | 'BLOCKED'
  | 'TEARDOWN';

export class TdTracker {
  readonly recorder: Recorder;
  readonly rng: Rng;
  readonly config: LifecycleConfig;

  constructor(recorder: Recorder, rng: Rng, config: LifecycleConfig) {
    this.recorder = recorder;
    this.rng = rng;
    this.config = config;
  }

  get u(): Universe {
    return this.recorder.u;
  }

  slot(td: number): Slot {
    return this.recorder.slot(td);
  }

  field(td: number, field: number): number {
    return word(this.u, this.slot(td).tdr, field);
  }

  stage(td: number): Stage {
    const read = (name: string): unknown => TD_FIELDS.get(name)?.(this.u, this.slot(td));
    if (read('tdrExists') !== true) return 'none';
    const lifecycle = read('lifecycle');
    const stage =
      lifecycle === 'KEYS_CONFIGURED' ? (read('opState') ?? 'UNINITIALIZED') : lifecycle;
    return stage as Stage; // both tables have only these names
  }

  // Addresses

  hpa(page: number): string {
    return hexOf(this.u.tdx.base + BigInt(page * PAGE_BYTES));
  }

  tdr(td: number): string {
    return this.hpa(this.slot(td).tdr);
  }

  /** HPAs of the pages that are free at first. */
  get spare(): readonly string[] {
    const first = this.u.page('0x100200000');
    return Array.from({ length: SPARE_PAGES }, (_, i) => this.hpa(first + i));
  }

  freePage(): string {
    const free = this.spare.filter((hpa) => this.u.tdx.pamt.type(this.u.page(hpa), 0) === NDA);
    return this.rng.pick(free.length > 0 ? free : this.spare);
  }

  lp(): number {
    return this.rng.pick(MANAGING_LPS);
  }

  freeHkid(): number {
    const { keys, m } = this.u.tdx;
    const free = keys.hkids.filter((hkid) => m.peek(keys.state(hkid)) === HKID_FREE);
    return this.rng.pick(free.length > 0 ? free : keys.hkids);
  }

  // vCPUs

  tdvpr(td: number, vcpu: number): number {
    return this.slot(td).tdvpr[vcpu] as number; // there are three
  }

  vp(td: number, vcpu: number, field: number): number {
    return word(this.u, this.tdvpr(td, vcpu), field);
  }

  exists(td: number, vcpu: number): boolean {
    return isTdvpr(this.u, this.tdvpr(td, vcpu));
  }

  isInside(td: number, vcpu: number): boolean {
    return this.exists(td, vcpu) && this.vp(td, vcpu, VP.STATE) === VCPU_ACTIVE;
  }

  /** Number of pages that a vCPU still needs. */
  missingPages(td: number, vcpu: number): number {
    const { min } = this.u.tdx.version.tdvps;
    const needed = min + TDVPS_PAGES_PER_L2_VM * this.field(td, TD.NUM_L2_VMS);
    return needed - this.vp(td, vcpu, VP.NUM_PAGES);
  }

  /** A vCPU that is `wanted`; any if there is none. */
  vcpuThat(td: number, wanted: (vcpu: number) => boolean): number {
    const all = [...this.slot(td).tdvpr.keys()];
    const fitting = all.filter(wanted);
    return this.rng.pick(fitting.length > 0 ? fitting : all);
  }
}
