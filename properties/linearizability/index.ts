/**
 * A checker of linearizability, for any specification that is a pure function of state and
 * operation.
 */
export { check } from './check.ts';
export {
  DEFAULT_LIMITS,
  type Limits,
  type Outcome,
  type Specification,
  type Timed,
  type Unexplained,
} from './specification.ts';
export { KEY_VALUE, type KeyValueOp } from './key-value.ts';
export { REGISTER, type Content, type RegisterOp } from './register.ts';
