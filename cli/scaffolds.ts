/** What `sept new` writes: files that run as they are, with comments that say what to change. */

/** What a scaffold has to know. */
export interface Place {
  readonly name: string;
  /** How to check the file, as a command. */
  readonly command: string;
  /** Where a part of this package is imported from. */
  from(part: 'impl' | 'properties'): string;
}

export const policyScaffold = ({ name, command, from }: Place): string => `/**
 * ${name}: say here what it does differently, why that may be allowed, and where it was proposed.
 *
 *     ${command}
 */
import { definePolicy, frozenMirror } from '${from('impl')}';

export default definePolicy({
  name: '${name}',
  title: 'frozen-mirror, until something is changed here',
  proposed: 'a message, a patch',

  // Rules that it is expected to break, and why; tests hold it to them. Empty: it is expected to pass.
  //   breaks: [{ rule: 'S01', why: 'the call meets a table that is blocked' }],
  breaks: [],

  // An entry point: here the host takes \`pages\` pages from \`gfn\` on back. What is yielded is a step, and what happens
  // between two steps is atomic; so every call is a \`yield*\`, and a loop without one does not end.
  *unmap(vm, gfn, pages) {
    yield* frozenMirror.unmap(vm, gfn, pages);
  },

  // The type Policy lists the other entry points. Those that are not here are the base's, which comes next: frozenMirror,
  // or exclusive, or any other policy.
}, frozenMirror);
`;

export const propertyScaffold =
  (id: string) =>
  ({ name, command, from }: Place): string =>
    `/**
 * ${name}: say here what is promised to whom, and what goes wrong when it is not kept.
 *
 *     ${command}
 */
import type { VmRule } from '${from('properties')}';

export default {
  // No other rule may have it.
  id: '${id}',
  // required: a policy passes only if this was put to the test; stochastic: it need not have been.
  level: 'required',
  // Reports and tests are titled with this sentence.
  statement: 'A page is removed from the Secure EPT only with mmu_lock held for write.',
  source: 'a message, a document and its section, a file and its function',
  // The versions of the TDX module that it holds for; '*' is all.
  versions: ['*'],

  // Called once for a VM. What a rule remembers of a run it forgets in vm.m.onReset(() => { … }).
  watch(vm, report) {
    vm.listeners.push({
      answered(call) {
        if (call.name !== 'TDH.MEM.PAGE.REMOVE') return;
        report.exercised();
        if (vm.mmuLock.heldForWrite(vm.m.current)) return;
        report.violated('mmu_lock held for write', \`\${call.name} without\`);
      },
    });
  },

  // atRest(vm, report) { … } looks when every actor has ended, atEnd(vm, report) { … } when the VM is gone.
} satisfies VmRule;
`;
