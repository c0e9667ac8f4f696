/**
 * Every policy gets the verdict that its header claims, under every module version, from fixed
 * seeds: rule by rule, as for anybody's policy. The environment can name other policies
 * (POLICY=./my-policy.ts), rules, versions, seeds and budgets: see README, "Knobs".
 */
import { conformance } from '../../../properties/testing.ts';
import { testKnobs } from '../../support/options.ts';

const {
  policies,
  rules: { only, extra },
  ...options
} = await testKnobs();

for (const { policy, handle } of policies) {
  conformance(policy, {
    ...options,
    handle,
    ...(only === undefined ? {} : { only }),
    ...(extra === undefined ? {} : { properties: extra }),
  });
}
