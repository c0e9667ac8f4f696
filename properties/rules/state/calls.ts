/** Interface functions of the module by what they do to an entry of the Secure EPT. */

/** They make an entry present. */
export const ADDS: ReadonlySet<string> = new Set([
  'TDH.MEM.SEPT.ADD',
  'TDH.MEM.PAGE.AUG',
  'TDH.MEM.PAGE.ADD',
]);

export const BLOCK = 'TDH.MEM.RANGE.BLOCK';
export const DEMOTE = 'TDH.MEM.PAGE.DEMOTE';
export const PROMOTE = 'TDH.MEM.PAGE.PROMOTE';

/** After them an entry that was blocked no longer is. */
export const UNBLOCKS: ReadonlySet<string> = new Set([
  'TDH.MEM.RANGE.UNBLOCK',
  'TDH.MEM.PAGE.REMOVE',
  'TDH.MEM.SEPT.REMOVE',
  DEMOTE,
  PROMOTE,
]);
