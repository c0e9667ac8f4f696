/** Names of the values that events carry: a slot for each, and the base of its digits. */

/**
 * Base of the digits after a word of a tracepoint: 16 or 10. 0 stands for names that only probes
 * use, and that are ordinary words in tracepoints ("access f"). Values of probes have a prefix 0x
 * if they are hexadecimal.
 */
const BASES = {
  kvm: 0,
  vcpu: 10,
  sp: 0,
  spt: 0,
  sptep: 16,
  ptep: 0,
  root: 0,
  role: 0,
  gfn: 16,
  gva: 16,
  pfn: 0,
  level: 10,
  old: 16,
  new: 16,
  spte: 16,
  at: 16,
  shared: 0,
  as_id: 0,
  lock: 0,
  seq: 0,
  inprog: 0,
  mmu_seq: 0,
  start: 0,
  end: 0,
  base: 0,
  n: 0,
  mask: 0,
  wrprot: 0,
  ret: 0,
  rc: 0,
  flush: 0,
  head: 0,
  zap_level: 0,
  min_level: 0,
  fixed: 10,
  td: 0,
  gpa: 0,
  tdx_level: 0,
  page: 0,
  source: 0,
  status: 0,
  req: 0,
} as const;

export type Key = keyof typeof BASES;

/** Other names of the same values in tracepoints. */
const ALIASES: ReadonlyMap<string, Key> = new Map([
  ['old_spte', 'old'],
  ['new_spte', 'new'],
  ['id', 'as_id'],
]);
const ALIAS_BASE = { old: 16, new: 16, as_id: 10 } as const;

/** Names of their fields in raw output, where they differ. */
const FIELDS: ReadonlyMap<string, Key> = new Map([
  ['old_spte', 'old'],
  ['new_spte', 'new'],
  ['vcpu_id', 'vcpu'],
]);

/** Every key, by its slot. */
export const KEYS: readonly Key[] = Object.keys(BASES).map((name) => name as Key); // they are those

export const SLOTS = KEYS.length;
/** The slot of each name. */
export const SLOT = Object.fromEntries(KEYS.map((name, slot) => [name, slot])) as Readonly<
  Record<Key, number>
>;

/** Hash of a name, from that of the name without its last character. */
export const hashWith = (hash: number, code: number): number => (Math.imul(hash, 31) + code) | 0;

/** Hash of the bytes of a name. Names are looked up by their hash alone. */
export function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0;
  for (let i = from; i < to; i++) hash = hashWith(hash, bytes[i] ?? 0);
  return hash;
}

export function hashOfText(text: string): number {
  const bytes = Buffer.from(text, 'latin1');
  return hashOf(bytes, 0, bytes.length);
}

/** Slots by the hash of the key in a probe's `key=value`. */
export const PROBE_SLOTS: ReadonlyMap<number, number> = new Map(
  KEYS.map((name) => [hashOfText(name), SLOT[name]]),
);

/** Slot and base, packed as slot * 32 + base, by the hash of a tracepoint's word. */
export const WORD_SLOTS: ReadonlyMap<number, number> = new Map([
  ...KEYS.filter((name) => BASES[name] > 0).map(
    (name) => [hashOfText(name), SLOT[name] * 32 + BASES[name]] as const,
  ),
  ...[...ALIASES].map(
    ([alias, name]) =>
      [hashOfText(alias), SLOT[name] * 32 + ALIAS_BASE[name as keyof typeof ALIAS_BASE]] as const,
  ),
]);

/** Slots by the hash of a tracepoint's field in raw output, packed with the base of its digits. */
export const RAW_SLOTS: ReadonlyMap<number, number> = new Map(
  [...KEYS.map((name) => [name, name] as const), ...FIELDS].map(([field, name]) => [
    hashOfText(field),
    SLOT[name] * 32 + (BASES[name] || 10),
  ]),
);
