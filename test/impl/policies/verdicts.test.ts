/**
 * Every shipped policy gets the verdict that its `breaks` claims, under every module version, from
 * fixed seeds: rule by rule, like any other policy. The environment can name other policies
 * (POLICY=./my-policy.ts), rules, versions, seeds and budgets: see README, "Knobs".
 */
import { conformance } from '../../../properties/testing.ts';
import { testOptions } from '../../support/options.ts';

const {
  policies,
  rules: { only, extra },
  ...options
} = await testOptions();

for (const { policy, handle } of policies) {
  conformance(policy, {
    ...options,
    handle,
    ...(only === undefined ? {} : { only }),
    ...(extra === undefined ? {} : { properties: extra }),
  });
}
