import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { KEY_BYTES_MAX } from "../../src/contract/encode-value.ts";
import { SUBJECT_BYTES_MAX, SUBJECT_TOKENS_MAX } from "../../src/core/subject.ts";
import { DIRECTORY_SERVICE_BOUNDS } from "../../src/directory-service/client-options.ts";
import { SERVE_DIRECTORY_BOUNDS } from "../../src/directory-service/serve-options.ts";
import { GATEWAY_BOUNDS } from "../../src/gateway/gateway-options.ts";
import {
  FIXED_BOUNDS,
  NODE_BOUNDS,
  PUBLISH_BOUNDS,
  REQUEST_BOUNDS,
  SUBSCRIBE_BOUNDS,
} from "../../src/options/bounds.ts";
import { TEST_MESH_BOUNDS } from "../../src/testing/test-mesh-options.ts";

const page = readFileSync(new URL("../../docs/limits.md", import.meta.url), "utf8");
const DAY_MS = 86_400_000;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A number as the page writes it. */
const written = (name: string, value: number): string => {
  if (value === Number.POSITIVE_INFINITY) return "Infinity";
  if (/ms(max)?$/i.test(name) && value > 0 && value % DAY_MS === 0) {
    return `${(value / DAY_MS).toLocaleString("en-US")} d`;
  }
  if (!/bytes/i.test(name)) return value.toLocaleString("en-US");
  let unit = 0;
  let amount = value;
  while (amount > 0 && amount % 1_024 === 0 && unit < UNITS.length - 1) {
    amount /= 1_024;
    unit++;
  }
  return `${amount.toLocaleString("en-US")} ${UNITS[unit]}`;
};
const range = (name: string, bound: { min: number; max: number; infinite?: boolean }): string =>
  `${written(name, bound.min)} to ${written(name, bound.max)}${bound.infinite ? ", Infinity" : ""}`;

/** The rows of a section's table, without its head: cells by first cell. */
const rowsOf = (heading: string): Map<string, string[]> => {
  const section = page.split(/^## /m).find((part) => part.startsWith(heading)) ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  const cells = rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  return new Map(cells.slice(2).map((row) => [(row[0] ?? "").replaceAll("`", ""), row]));
};

describe("docs/limits.md", () => {
  it.each([
    ["createNode()", NODE_BOUNDS],
    ["subscribe()", SUBSCRIBE_BOUNDS],
    ["serveGateway()", GATEWAY_BOUNDS],
    ["createTestMesh()", TEST_MESH_BOUNDS],
    ["serveDirectory()", SERVE_DIRECTORY_BOUNDS],
    ["directoryService()", DIRECTORY_SERVICE_BOUNDS],
  ])("lists every number of %s with the default and range of the code", (heading, bounds) => {
    const rows = rowsOf(heading);
    expect([...rows.keys()]).toEqual(Object.keys(bounds));
    for (const [option, bound] of Object.entries(bounds)) {
      const [, initial, limits, effect] = rows.get(option) ?? [];
      expect([option, initial]).toEqual([option, written(option, bound.default)]);
      expect([option, limits]).toEqual([option, range(option, bound)]);
      expect(effect?.length).toBeGreaterThan(10);
    }
  });

  it("lists the numbers of publish() and request()", () => {
    const rows = rowsOf("publish()");
    const { expireAfterMs, delayMs } = PUBLISH_BOUNDS;
    expect(rows.get("expireAfterMs")?.[2]).toBe(range("expireAfterMs", expireAfterMs));
    expect(rows.get("delayMs")?.[2]).toContain(range("delayMs", delayMs));
    const timeout = rows.get("timeoutMs of request()")?.[2];
    expect(timeout).toBe(range("timeoutMs", REQUEST_BOUNDS.timeoutMs));
  });

  it("lists every fixed bound", () => {
    const rows = [...rowsOf("Fixed bounds").values()];
    const fixed = { subjectBytesMax: SUBJECT_BYTES_MAX, subjectTokensMax: SUBJECT_TOKENS_MAX };
    const expected = Object.entries({ ...fixed, ...FIXED_BOUNDS });
    expect(rows.map(([, bound]) => bound)).toEqual(
      expected.map(([name, value]) => written(name, value)),
    );
    expect(FIXED_BOUNDS.keyBytesMax).toBe(KEY_BYTES_MAX);
  });
});
