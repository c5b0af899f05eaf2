import { describe, expect, it } from "vitest";
import { judged } from "../../bench/goals.ts";
import type { Row } from "../../bench/row.ts";
import { textOf } from "../../bench/table.ts";

const row = (system: string, figures: Partial<Row>, scenario = "throughput-emit"): Row => ({
  scenario,
  system,
  payloadBytes: 128,
  ack: "none",
  lost: 0,
  reordered: 0,
  ...figures,
});
const mine = row("meshbus", { msgPerSec: 3_000_000 });

describe("goals", () => {
  it("hold or not by the ratio that was measured round by round", () => {
    const rows = [mine, row("nats", { msgPerSec: 900_000, meshbusRatio: 3.33 })];
    expect(judged(rows)[1]).toMatchObject({ met: true, goal: "meshbus at least 3 x this" });
    const less = [mine, row("nats", { msgPerSec: 1_500_000, meshbusRatio: 2 })];
    expect(judged(less)[1]).toMatchObject({ met: false, measured: "2.00 x" });
  });

  it("are judged for payloads of 128 bytes alone", () => {
    const rows = judged([{ ...row("nats", { meshbusRatio: 9 }), payloadBytes: 16 }]);
    expect(rows[0]?.met).toBeUndefined();
  });

  it("compare a figure of both rows where there is no ratio", () => {
    const rows = [
      row("meshbus", { cpuSecPerMillion: 6 }, "throughput-durable"),
      row("rabbitmq", { cpuSecPerMillion: 24 }, "throughput-durable"),
    ];
    expect(judged(rows)[1]).toMatchObject({ met: true, measured: "processor time 0.250 x" });
  });

  it("do not count a row with a loss, of either side", () => {
    const theirs = judged([mine, row("nats", { meshbusRatio: 9, lost: 2 })])[1];
    expect(theirs).toMatchObject({ noResult: "lost 2" });
    expect(theirs?.met).toBeUndefined();
    const lossy = row("meshbus", { cpuSecPerMillion: 1, reordered: 1 }, "throughput-durable");
    const rows = judged([lossy, row("rabbitmq", { cpuSecPerMillion: 9 }, "throughput-durable")]);
    expect(rows[0]?.noResult).toBe("reordered 1");
    expect(rows[1]?.met).toBeUndefined();
  });
});

describe("the table", () => {
  const text = textOf(
    judged([
      mine,
      row("nats", {
        msgPerSec: 900_000,
        msgPerSecMin: 800_000,
        msgPerSecMax: 1e6,
        meshbusRatio: 3.3,
      }),
      row("redis", { msgPerSec: 50_000, lost: 7 }),
      row("mosquitto", { missing: "mosquitto is not installed" }),
      row("cote", { failed: "it ended\n  at a place" }),
    ]),
  );

  it("shows medians with the least and the most, the goal and whether it is met", () => {
    expect(text).toMatch(/nats .*900 k \(800 k to 1\.00 M\).*at least 3 x this +yes \(3\.30 x\)/);
  });

  it("shows that a row with a loss is no result", () => {
    expect(text).toMatch(/redis .*no result: lost 7/);
  });

  it("names what is missing and what failed, with the reason", () => {
    expect(text).toMatch(/mosquitto +128 .*missing/);
    expect(text).toContain("mosquitto missing: mosquitto is not installed");
    expect(text).toContain("cote failed: it ended\n");
  });
});
