import { describe, expect, it } from "vitest";
import { createNode } from "../../src/mesh/create-node.ts";

describe("overlapping patterns of one group", () => {
  it("are warned of, and patterns of other groups are not", async () => {
    const warnings: string[] = [];
    const quiet = () => {};
    const warn = (message: string) => warnings.push(message);
    await using node = await createNode({
      service: "watcher",
      dataDir: ":memory:",
      discovery: [],
      logger: { debug: quiet, info: quiet, warn, error: quiet },
      heartbeatThread: false,
    });
    await node.subscribe("order.*", quiet);
    await node.subscribe("payment.*", quiet);
    await node.subscribe("*.placed", quiet, { group: "other" });
    expect(warnings).toEqual([]);
    await node.subscribe("order.placed", quiet);
    expect(warnings).toEqual(["overlapping patterns deliver twice"]);
  });
});
