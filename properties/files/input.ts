/** An error in an input, as one line: what is wrong, where, and what to do. */
export class InputError extends Error {
  override readonly name = 'InputError';

  /** `where` is `file` or `file:line`. */
  constructor(where: string, what: string, advice: string) {
    super(`${where}: ${what}; ${advice}`);
  }
}
