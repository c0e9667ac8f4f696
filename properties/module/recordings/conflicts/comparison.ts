/** Collects the fields in which a cell and the specification differ, and those not compared. */

/** A field in which a cell and the specification differ. */
export interface FieldDifference {
  readonly field: string;
  readonly recorded: string;
  readonly ours: string;
}

type Value = string | number | boolean | bigint | null | undefined;

const show = (value: Value): string =>
  typeof value === 'bigint' ? `0x${value.toString(16)}` : String(value ?? 'absent');

export class Comparison {
  readonly differences: FieldDifference[] = [];
  /** What the specification has no counterpart of, e.g. `writes of words that have no field`. */
  readonly skipped: string[] = [];

  field(field: string, recorded: Value, ours: Value): void {
    if (recorded === ours) return;
    this.differences.push({ field, recorded: show(recorded), ours: show(ours) });
  }

  /** Compares a field, if the cell has it. */
  given(field: string, recorded: Value, ours: Value): void {
    if (recorded !== undefined) this.field(field, recorded, ours);
  }

  /** Compares a 64-bit value, if the cell has it. */
  bits(field: string, recorded: string | undefined, ours: bigint | undefined): void {
    if (recorded !== undefined) this.field(field, BigInt(recorded), ours);
  }

  skip(what: string): void {
    this.skipped.push(what);
  }
}
