/** `--format`: how a verdict is printed. */
import { Option } from 'commander';
import { junit } from './junit.ts';
import { ktap } from './ktap.ts';
import type { Suite } from './outcome.ts';

const FORMATS = ['text', 'json', 'ktap', 'junit'] as const;
export type Format = (typeof FORMATS)[number];

/** Parsed values of `--format` and of `--json`, which is short for one of them. */
export interface FormatOptions {
  readonly format: Format;
  readonly json?: boolean;
}

export const formatOption = (): Option =>
  new Option('--format <name>', 'how to print the verdict; ktap and junit list every rule')
    .choices(FORMATS)
    .default('text');

export const formatOf = ({ format, json = false }: FormatOptions): Format =>
  json ? 'json' : format;

/** Suites as KTAP or as JUnit's XML. */
export const formatted = (format: 'ktap' | 'junit', suites: readonly Suite[]): string =>
  (format === 'ktap' ? ktap : junit)(suites);
