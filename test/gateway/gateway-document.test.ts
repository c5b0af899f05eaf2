/** docs/gateway.md says of each code which gRPC status it is, as the code has it. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { STATUS_OF } from "../../src/gateway/call-errors.ts";

it("docs/gateway.md lists every code with its gRPC status", () => {
  const page = readFileSync(new URL("../../docs/gateway.md", import.meta.url), "utf8");
  const table = page.slice(page.indexOf("| `INVALID_OPTIONS`"), page.indexOf("## Shown by"));
  const listed = table.split("\n").flatMap((line) => {
    const [, codes = "", status = ""] = line.split("|");
    const name = /`(\w+)`/.exec(status)?.[1];
    return [...codes.matchAll(/`(\w+)`/g)].map(([, code = ""]) => [code, name]);
  });
  expect(Object.fromEntries(listed)).toEqual({ ...STATUS_OF, INTERNAL: "INTERNAL" });
});
