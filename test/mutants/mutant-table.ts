/** The table of mutants in docs/simulation.md: made here, so that it says what is run. */
import type { Mutant } from "./mutant.ts";

const caughtBy = (mutant: Mutant): string => {
  const { caughtBy } = mutant;
  if (caughtBy.by === "test") return `\`${caughtBy.file}\``;
  return caughtBy.checks.join(", ");
};

export const mutantTable = (mutants: readonly Mutant[]): string =>
  [
    "| mutant | promise | it | caught by |",
    "| --- | --- | --- | --- |",
    ...mutants.map(
      (mutant) =>
        `| \`${mutant.name}\` | ${mutant.promise} | ${mutant.does} | ${caughtBy(mutant)} |`,
    ),
  ].join("\n");
