/**
 * `sept-conformance` itself: everything that its parts offer, for those who do not care which part
 * it is from.
 */
export * from '../spec/index.ts';
export * from '../impl/index.ts';
export * from './index.ts';
