/** Host memory behind a GFN: of the memslot's user address, or of guest_memfd if it is private. */
import type { Kvm } from '../kvm.ts';
import { NO_MEMSLOT } from '../memslots.ts';

/** The page backs the GFN now, as shared or as private memory. */
export function backsGfn(
  { attributes, primary, slots }: Kvm,
  asId: number,
  gfn: number,
  page: number,
): boolean {
  const slot = slots.find(asId, gfn);
  if (slot === NO_MEMSLOT) return false;
  return (
    primary.backs(page, slots.hvaOf(slot, gfn)) ||
    (asId === 0 && attributes.memory.backs(page, gfn))
  );
}

/** Level at which the host maps the memory that a leaf's page is part of. */
export function hostLevel(
  { attributes, primary, slots }: Kvm,
  asId: number,
  gfn: number,
  page: number,
): number {
  const slot = slots.find(asId, gfn);
  if (asId === 0 && attributes.memory.backs(page, gfn)) return attributes.memory.levelOf(gfn);
  return slot === NO_MEMSLOT ? 0 : primary.levelOf(slots.hvaOf(slot, gfn));
}
