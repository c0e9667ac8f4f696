/**
 * Epochs. The module's are 64 bits wide, cells have 32. Order, successor and lowest bit are all
 * that the module uses of an epoch, so a word keeps these: an epoch below 2^31 is its own word, and
 * the words from 2^31 on are the epochs around 2^63, where TRACK of module 1.5.05 halts and where
 * the flag of migrated pages begins. No run performs so many calls that it reaches the gap.
 *
 * Source: intel/tdx-module 1.5.01, src/common/data_structures/td_control_structures.h:
 * epoch_and_refcount_t; src/common/memory_handlers/pamt_manager.h: bepoch_t.
 */
/** The first word that is not its own epoch, and the word of epoch 2^63. */
const FIRST_FAR = 2 ** 31;
const BIT_63 = FIRST_FAR + 2 ** 30;
/** A far word plus this is its epoch. */
const FAR = (1n << 63n) - BigInt(BIT_63);

/** The word of an epoch. @throws RangeError for an epoch that has none */
export function wordOfEpoch(epoch: bigint): number {
  const word = epoch < FIRST_FAR ? epoch : epoch - FAR;
  const hasWord = epoch >= 0n && (epoch < FIRST_FAR || (word >= FIRST_FAR && word < 2 ** 32));
  if (!hasWord) throw new RangeError(`epoch ${epoch} is neither small nor close to 2^63`);
  return Number(word) | 0;
}

/** The epoch that a word stands for. */
export function epochOfWord(word: number): bigint {
  const unsigned = word >>> 0;
  return BigInt(unsigned) + (unsigned < FIRST_FAR ? 0n : FAR);
}

/** Whether the word is not its own epoch. */
export const isFar = (word: number): boolean => word < 0;

/** Whether epoch `a` is before epoch `b`, both as words. */
export const isBefore = (a: number, b: number): boolean => a >>> 0 < b >>> 0;

/** Whether bit 63 of the epoch is set. */
export const hasBit63 = (word: number): boolean => word >>> 0 >= BIT_63;

/** Word of epoch 2^63 - 1, which TRACK of module 1.5.05 does not survive. */
export const LAST_EPOCH = (BIT_63 - 1) | 0;

/** Word of the next epoch. @throws RangeError where the words end */
export function nextEpoch(word: number): number {
  if (word === FIRST_FAR - 1 || word === -1)
    throw new RangeError(`the epoch after ${epochOfWord(word)} has no word`);
  return (word + 1) | 0;
}
