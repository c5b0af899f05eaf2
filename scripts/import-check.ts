/**
 * Checks which part of src imports which, by the rules in .dependency-cruiser.mjs.
 *
 * Problem: a checker that cannot parse the sources reports success after reading nothing. Approach:
 * the number of modules read is part of the result, and too few is a failure of its own.
 */

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { cruise, type ICruiseOptions, type IFlattenedRuleSet } from "dependency-cruiser";

export type ImportViolation = {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
  readonly reason: string;
};

export type ImportReport = {
  /** How many modules of src were read. */
  readonly moduleCount: number;
  readonly violations: readonly ImportViolation[];
};

/** Fewer modules than this in src means that the checker did not read it. */
export const MODULE_COUNT_MIN = 20;

type RuleFile = {
  readonly forbidden: NonNullable<IFlattenedRuleSet["forbidden"]>;
  readonly options: ICruiseOptions;
};

/** The rules of the repository at `rootPath`. */
export async function loadImportRules(rootPath: string): Promise<RuleFile> {
  const url = pathToFileURL(join(rootPath, ".dependency-cruiser.mjs")).href;
  const loaded = (await import(url)) as { readonly default: RuleFile };
  return loaded.default;
}

/** Reads `<treePath>/src` and reports every import that `rules` forbid. */
export async function checkImports(treePath: string, rules: RuleFile): Promise<ImportReport> {
  const { output } = await cruise(["src"], {
    ...rules.options,
    baseDir: treePath,
    validate: true,
    ruleSet: { forbidden: rules.forbidden },
  });
  if (typeof output === "string") throw new Error(`unexpected report: ${output}`);
  const reasons = new Map(rules.forbidden.map((rule) => [rule.name, rule.comment ?? ""]));
  return {
    moduleCount: output.modules.filter(({ source }) => source.startsWith("src/")).length,
    violations: output.summary.violations.map(({ rule, from, to }) => ({
      rule: rule.name,
      from,
      to,
      reason: reasons.get(rule.name) ?? "",
    })),
  };
}
