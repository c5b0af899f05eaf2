import { describe, expect, it } from "vitest";
import { LocalHealth } from "../../../src/core/swim/local-health.ts";
import { Prober } from "../../../src/core/swim/prober.ts";
import { SWIM_TIMES } from "../../../src/core/swim/swim-times.ts";

const TIMES = { ...SWIM_TIMES.lan, probeMs: 200, timeoutMs: 100 }; // and two rounds
const HELPERS = 3;

const rig = () => {
  const log: string[] = [];
  const health = new LocalHealth();
  const prober = new Prober(TIMES, health, {
    ping: (member, number) => log.push(`ping ${member} #${number}`),
    askHelpers: (member, number) => {
      log.push(`help ${member} #${number}`);
      return HELPERS;
    },
    answerFor: (asker, kind, number) => log.push(`${kind} #${number} to ${asker}`),
    unreachable: (member) => log.push(`unreachable ${member}`),
  });
  return { log, health, prober };
};

describe("a probe", () => {
  it("asks others after the time-out, begins a second round, and then accuses", () => {
    const { log, prober } = rig();
    prober.start(7, 0);
    for (let nowMs = 0; nowMs <= 2_000; nowMs += 10) prober.advance(nowMs);
    expect(log).toEqual(["ping 7 #1", "help 7 #1", "ping 7 #2", "help 7 #2", "unreachable 7"]);
    expect(prober.nextMs).toBe(Infinity);
  });

  it("ends with anything that comes from the member, and with a helper's ack", () => {
    for (const answer of ["heard", "acked"] as const) {
      const { log, health, prober } = rig();
      health.failed(2);
      prober.start(7, 0);
      prober.advance(400);
      if (answer === "heard") prober.heard(7);
      else prober.acked(1);
      prober.advance(10_000);
      expect(log.filter((line) => line.startsWith("unreachable"))).toEqual([]);
      expect(health.score).toBe(1);
    }
  });

  it("counts against this node what helpers do not say, and nothing when they all do", () => {
    const { health, prober } = rig();
    prober.start(7, 0);
    prober.advance(100);
    for (let helper = 0; helper < HELPERS; helper++) prober.nacked(1);
    prober.advance(200);
    expect(health.score).toBe(0);
    prober.advance(300);
    prober.nacked(2);
    prober.advance(400);
    expect(health.score).toBe(2);
  });

  it("waits longer the less this node trusts itself", () => {
    const { log, health, prober } = rig();
    health.failed(1);
    prober.start(7, 0);
    prober.advance(199);
    expect(log).toEqual(["ping 7 #1"]);
    prober.advance(200);
    expect(log).toEqual(["ping 7 #1", "help 7 #1"]);
  });

  it("begins its round anew when this node stood still", () => {
    const { log, prober } = rig();
    prober.start(7, 0);
    prober.stoodStill(5_000);
    prober.advance(5_000);
    expect(log).toEqual(["ping 7 #1", "ping 7 #2"]);
  });

  it("is one for each member, and bounded in all", () => {
    const { log, prober } = rig();
    prober.start(7, 0);
    prober.start(7, 0);
    expect(log).toHaveLength(1);
    for (let member = 100; member < 300; member++) prober.start(member, 0);
    expect(log).toHaveLength(64);
  });
});

describe("help with another's probe", () => {
  it("is an ack when the member is heard, once", () => {
    const { log, prober } = rig();
    prober.help("asker", 5, 7, 0);
    prober.heard(7);
    prober.heard(7);
    prober.advance(1_000);
    expect(log).toEqual(["ping 7 #1", "ack #5 to asker"]);
  });

  it("is a nack after four fifths of the time-out, and still an ack after that", () => {
    const { log, prober } = rig();
    prober.help("asker", 5, 7, 0);
    prober.advance(79);
    expect(log).toEqual(["ping 7 #1"]);
    prober.advance(80);
    prober.advance(90);
    prober.heard(7);
    expect(log).toEqual(["ping 7 #1", "nack #5 to asker", "ack #5 to asker"]);
  });

  it("is refused past 256 at a time, and forgotten when the round is over", () => {
    const { log, prober } = rig();
    for (let number = 0; number < 300; number++) prober.help("asker", number, 7, 0);
    expect(log).toHaveLength(256);
    prober.advance(200);
    expect(prober.nextMs).toBe(Infinity);
  });
});
