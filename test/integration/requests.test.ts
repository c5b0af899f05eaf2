/** Requests: an answer, or the reason why not, whatever becomes of the other side. */
import { afterEach, describe, expect, it } from "vitest";
import type { Behaviour } from "../children/node-protocol.ts";
import { CallFailed, type ChildNode } from "./child-node.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const ASKED = { name: "quote", verb: "reply", subject: "price.quote" } as const;

const askerAndReplier = async (behaviour: Behaviour[]): Promise<[ChildNode, ChildNode]> => {
  const mesh = await world();
  const [asker, replier] = await Promise.all([mesh.start("asker"), mesh.start("replier")]);
  await mesh.link(asker, replier);
  await replier.listen({ ...ASKED, behaviour });
  return [asker, replier];
};

const failure = async (call: Promise<unknown>): Promise<CallFailed> => {
  const error = await call.then(
    () => undefined,
    (rejected: unknown) => rejected,
  );
  expect(error).toBeInstanceOf(CallFailed);
  return error as CallFailed;
};

describe("a request", () => {
  it("is answered by another process", async () => {
    const [asker] = await askerAndReplier([]);
    expect(await asker.request("price.quote", 21)).toEqual({ n: 42 });
  });

  it("ends as NO_HANDLER when nobody answers the subject in time", async () => {
    const [asker] = await askerAndReplier([]);
    const error = await failure(asker.request("price.unknown", 1, 100));
    expect(error.code).toBe("NO_HANDLER");
  });

  it("waits for a handler that comes before its time-out", async () => {
    const mesh = await world();
    const [asker, replier] = await Promise.all([mesh.start("asker"), mesh.start("replier")]);
    const answer = asker.request("price.quote", 3);
    await mesh.link(asker, replier);
    await replier.listen(ASKED);
    expect(await answer).toEqual({ n: 6 });
  });

  it("ends as TIMEOUT when the handler hangs, and the next one is answered", async () => {
    const [asker, replier] = await askerAndReplier([{ type: "obey", only: [1] }]);
    expect((await failure(asker.request("price.quote", 1, 150))).code).toBe("TIMEOUT");
    await replier.sees(
      "its handler's signal",
      () => replier.happened("aborted", "quote")[0]?.n === 1,
    );
    expect(await asker.request("price.quote", 2)).toEqual({ n: 4 });
  });

  it("ends as REMOTE_ERROR with name, message, code and details, and no stack", async () => {
    const [asker] = await askerAndReplier([{ type: "throw", only: [1] }]);
    const error = await failure(asker.request("price.quote", 1));
    expect(error.code).toBe("REMOTE_ERROR");
    expect(error.details).toEqual({
      name: "PlannedFailure",
      message: "told to fail",
      code: "PLANNED",
      details: { planned: true },
    });
    expect(JSON.stringify(error.original)).not.toContain("node-behaviour");
    expect(await asker.request("price.quote", 2)).toEqual({ n: 4 });
  });

  it("ends as REMOTE_ERROR when the handler returns what cannot be encoded", async () => {
    const [asker] = await askerAndReplier([{ type: "garbage", only: [1] }]);
    const error = await failure(asker.request("price.quote", 1));
    expect(error).toMatchObject({ code: "REMOTE_ERROR", details: { code: "SCHEMA_VIOLATION" } });
    expect(await asker.request("price.quote", 2)).toEqual({ n: 4 });
  });

  it("aborted by the caller ends as ABORTED, and the handler's signal fires", async () => {
    const [asker, replier] = await askerAndReplier([{ type: "obey" }]);
    const request = { op: "request", subject: "price.quote", data: { n: 1 } } as const;
    const { call, answer } = asker.begin(request);
    const failed = failure(answer);
    await replier.sees("the request", () => replier.numbers("start", "quote").includes(1));
    await asker.call({ op: "abort", call });
    expect((await failed).code).toBe("ABORTED");
    await replier.sees("its signal", () => replier.numbers("aborted", "quote").includes(1));
  });

  it("ends as PEER_LOST when the answering process is killed", async () => {
    const [asker, replier] = await askerAndReplier([{ type: "hang" }]);
    const failed = failure(asker.request("price.quote", 1));
    await replier.sees("the request", () => replier.numbers("start", "quote").includes(1));
    await replier.kill();
    expect((await failed).code).toBe("PEER_LOST");
    expect((await failure(asker.request("price.quote", 2, 100))).code).toBe("NO_HANDLER");
  });

  it("aborts the handler's signal when the asking process is killed", async () => {
    const [asker, replier] = await askerAndReplier([{ type: "obey" }]);
    void asker.request("price.quote", 1).catch(() => {});
    await replier.sees("the request", () => replier.numbers("start", "quote").includes(1));
    await asker.kill();
    await replier.sees("its signal", () => replier.numbers("aborted", "quote").includes(1));
  });

  it("under way is answered before its replier stops; later ones find nobody", async () => {
    const [asker, replier] = await askerAndReplier([{ type: "slow", ms: 100 }]);
    const answer = asker.request("price.quote", 5);
    await replier.sees("the request", () => replier.numbers("start", "quote").includes(5));
    const stopped = replier.stop();
    expect(await answer).toEqual({ n: 10 });
    await stopped;
    expect((await failure(asker.request("price.quote", 6, 100))).code).toBe("NO_HANDLER");
  });
});
