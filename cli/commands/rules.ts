/** `sept rules`: the rule catalogue, from the rules themselves. */
import { Command } from 'commander';
import { catalogue, markdownOf } from '../../properties/checker/reports/catalogue.ts';
import { EXIT_CLEAN } from '../errors.ts';
import { jsonOption, type Knobs } from '../options.ts';
import { print, printJson, table } from '../output.ts';

/** The command; it answers with the exit code. */
export const rulesCommand = (exit: (code: number) => void): Command =>
  new Command('rules')
    .description('list the rules: id, level, statement, source')
    .addOption(jsonOption())
    .option('--markdown', 'as docs/rules.md has it')
    .action(({ json, markdown }: Pick<Knobs, 'json'> & { markdown?: boolean }) => {
      if (json === true) printJson({ rules: catalogue() });
      else if (markdown === true) print(markdownOf(catalogue()));
      else
        print(
          table(
            ['rule', 'level', 'statement'],
            catalogue().map((r) => [r.id, r.level, r.statement]),
          ),
        );
      exit(EXIT_CLEAN);
    });
