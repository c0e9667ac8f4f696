/** What is wrong with somebody's input, said in one line: what, and what to do about it. */
export class InputError extends Error {
  override readonly name = 'InputError';

  /** `where` is `file` or `file:line`. */
  constructor(where: string, what: string, advice: string) {
    super(`${where}: ${what}; ${advice}`);
  }
}
