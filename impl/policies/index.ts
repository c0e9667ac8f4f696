/** The shipped policies: every file beside this one is a policy, whose name is the file's. */
import { defaultExportsIn } from '../found-by-file.ts';
import { POLICY_GROUPS, type Policy } from '../vm/policy.ts';

const found = await defaultExportsIn<Policy>(new URL('.', import.meta.url), /^(?!index$)/);

const rankOf = ({ group = 'superseded' }: Policy): number => POLICY_GROUPS.indexOf(group);

/** All of them: by group, and by name within a group. */
export const POLICIES: readonly Policy[] = [...found.values()].toSorted(
  (a, b) => rankOf(a) - rankOf(b),
);
