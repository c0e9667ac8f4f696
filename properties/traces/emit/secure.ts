import type { Writer } from './emit.ts';

export const writeSecure: Writer = () => {};
