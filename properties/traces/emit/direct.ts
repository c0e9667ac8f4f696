import type { Writer } from './emit.ts';

export const writeDirect: Writer = () => {};
