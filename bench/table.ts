/** Rows as text for people: one table per scenario. */
import type { Row } from "./row.ts";

const HIDDEN = new Set(["scenario", "system", "codec", "failed"]);

export const tableOf = (rows: readonly Row[]): string => {
  const scenarios = [...new Set(rows.map(({ scenario }) => scenario))];
  return scenarios
    .map((name) =>
      oneTable(
        name,
        rows.filter(({ scenario }) => scenario === name),
      ),
    )
    .join("\n");
};

const oneTable = (scenario: string, rows: readonly Row[]): string => {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const figures = names.filter((name) => !HIDDEN.has(name));
  const lines = [
    [scenario, ...figures],
    ...rows.map((row) => [row.system, ...figures.map((figure) => shown(row[figure]))]),
  ];
  const widths = lines[0]?.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] as string).length)),
  );
  const aligned = lines.map((line) =>
    line
      .map((cell, column) => {
        const width = widths?.[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  "),
  );
  const failures = rows.flatMap(({ system, failed }) =>
    failed === undefined ? [] : [`${system} failed: ${failed}`],
  );
  return `${[...aligned, ...failures].join("\n")}\n`;
};

const shown = (value: Row[string]): string =>
  typeof value === "number" ? value.toLocaleString("en-US") : String(value ?? "");
