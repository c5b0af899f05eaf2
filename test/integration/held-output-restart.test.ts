/** A member that comes back links before it listens, as services do: its held output must not wait. */
import { afterEach, describe, expect, it } from "vitest";
import { Chain, JOBS, WORKER } from "./held-output-chain.ts";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);

describe("held output of a member that was killed before it heard that its settle was accepted", () => {
  it("leaves when the member listens again", async () => {
    const chain = await Chain.start(await world());
    const rule = { direction: "in", frame: "accepted", when: "before" } as const;
    const doomed = await chain.join("b1", rule);
    await chain.post();
    expect(await doomed.exited).toBe("SIGKILL");
    const held = await chain.heldBy("b1");
    expect(held).toBeGreaterThan(0);

    const back = await chain.world.start("b1");
    await chain.world.link(back, chain.a, chain.c);
    await back.listen(WORKER);
    await chain.c.handledAll("events", range(0, JOBS));
    await chain.proves();
  });
});
