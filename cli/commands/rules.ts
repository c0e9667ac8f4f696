/** `sept rules [ID...]`: the rule catalogue, or some of its rules in full. */
import { Argument, Command } from 'commander';
import {
  catalogue,
  markdownOf,
  type CatalogueEntry,
} from '../../properties/checker/reports/catalogue.ts';
import { EXIT_CLEAN, UsageError } from '../errors.ts';
import { jsonOption, type SharedOptions } from '../options.ts';
import { print, printJson, table } from '../output.ts';
import { describeRule, detailsOf } from '../rule-details.ts';
import { didYouMean, idIn } from '../rule-names.ts';

interface Options extends Pick<SharedOptions, 'json'> {
  readonly markdown?: boolean;
}

/** The command; it answers with the exit code. */
export const rulesCommand = (exit: (code: number) => void): Command =>
  new Command('rules')
    .description('list the rules, or print some of them in full')
    .addArgument(new Argument('[ids...]', 'rules to print in full, e.g. K20 S01'))
    .addOption(jsonOption())
    .option('--markdown', 'print what docs/rules.md contains')
    .action((ids: string[], { json, markdown }: Options) => {
      const rules = ids.length === 0 ? catalogue() : ids.map(ruleNamed);
      if (json === true) printJson({ rules: rules.map(detailsOf) });
      else if (markdown === true) print(markdownOf(rules));
      else if (ids.length > 0) print(rules.map(detailsOf).map(describeRule).join('\n\n'));
      else print(listOf(rules));
      exit(EXIT_CLEAN);
    });

const listOf = (rules: readonly CatalogueEntry[]): string =>
  table(
    ['rule', 'level', 'statement'],
    rules.map(({ id, level, statement }) => [id, level, statement]),
  );

/** @throws UsageError when no rule has the id */
function ruleNamed(name: string): CatalogueEntry {
  const rules = catalogue();
  const known = rules.map(({ id }) => id);
  const rule = rules.find(({ id }) => id === idIn(known, name));
  if (rule !== undefined) return rule;
  throw new UsageError(
    `there is no rule "${name}"${didYouMean(known, name)}; \`sept rules\` lists the rules`,
  );
}
