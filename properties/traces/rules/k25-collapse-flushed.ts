/** K25 in a trace: flushes after a huge page replaces a table. */
import { flushRule } from './flush-rule.ts';

export default flushRule('K25', 'replacing a table of');
