/**
 * The configurations that a search has visited: the set of operations that are done, and the state.
 * An open-addressing table over one array of numbers, so that a configuration takes no object.
 */

const FIRST_SLOTS = 1 << 10;
/** Minimal number of slots for each entry. */
const SLOTS_PER_ENTRY = 2;

export class Memo {
  /** Number of words of the set of done operations. */
  private readonly words: number;
  private readonly width: number;
  private slots = new Int32Array(FIRST_SLOTS);
  private entries: Int32Array<ArrayBuffer>;
  private hashes = new Int32Array(FIRST_SLOTS / SLOTS_PER_ENTRY);
  private count = 0;

  constructor(words: number) {
    this.words = words;
    this.width = words + 1;
    this.entries = new Int32Array((FIRST_SLOTS / SLOTS_PER_ENTRY) * this.width);
  }

  get size(): number {
    return this.count;
  }

  /** Adds a configuration. Returns false if it was known. `hash` is that of both parts. */
  add(done: Int32Array, state: number, hash: number): boolean {
    const mask = this.slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = (this.slots[slot] as number) - 1; // the mask keeps it in range
      if (entry < 0) {
        this.insert(slot, done, state, hash);
        return true;
      }
      if (this.hashes[entry] === hash && this.isAt(entry, done, state)) return false;
    }
  }

  private isAt(entry: number, done: Int32Array, state: number): boolean {
    const at = entry * this.width;
    if (this.entries[at] !== state) return false;
    for (let i = 0; i < this.words; i++) if (this.entries[at + 1 + i] !== done[i]) return false;
    return true;
  }

  private insert(slot: number, done: Int32Array, state: number, hash: number): void {
    const at = this.count * this.width;
    this.entries[at] = state;
    this.entries.set(done, at + 1);
    this.hashes[this.count] = hash;
    this.slots[slot] = ++this.count;
    if (this.count * SLOTS_PER_ENTRY >= this.slots.length) this.grow();
  }

  private grow(): void {
    const slots = new Int32Array(this.slots.length * 2);
    const mask = slots.length - 1;
    for (let entry = 0; entry < this.count; entry++) {
      let slot = (this.hashes[entry] as number) & mask; // one hash an entry
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = entry + 1;
    }
    this.slots = slots;
    this.hashes = doubled(this.hashes);
    this.entries = doubled(this.entries);
  }
}

function doubled(old: Int32Array): Int32Array<ArrayBuffer> {
  const roomy = new Int32Array(old.length * 2);
  roomy.set(old);
  return roomy;
}

/** Scatters the bits of a small number. */
export function scatter(n: number): number {
  let h = Math.imul(n + 1, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
