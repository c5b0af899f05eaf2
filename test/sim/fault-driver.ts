/** Brings a world's faults about, and takes them away at the end of the safety phase. */
import { QUIET_PATH } from "../../src/testing/virtual-network.ts";
import type { SimNode } from "./sim-node.ts";
import type { World } from "./world.ts";

export class FaultDriver {
  readonly #world: World;
  /** What undoes the faults that are on now. */
  readonly #undo = new Set<() => void>();

  constructor(world: World) {
    this.#world = world;
  }

  begin(): void {
    const world = this.#world;
    const { faults, nodes } = world.plan;
    for (const from of world.nodes) {
      for (const to of world.nodes) {
        if (from === to) continue;
        const path = world.network.path(from.host, to.host);
        path.delayMeanMs = Math.max(
          path.delayMinMs,
          faults.delayMeanMs * world.random.between(0.3, 2),
        );
        path.loss = faults.loss;
        path.silentLoss = faults.silentLoss;
        path.duplicate = faults.duplicate;
        path.reorder = faults.reorder;
      }
      from.disk.faults.syncMeanMs = faults.syncMeanMs;
      from.disk.faults.syncFails = world.random.chance(0.6) ? faults.syncFails : 0;
      from.disk.faults.keptOnFailure = world.random.pick([0, 0.5, 1]);
      from.disk.faults.keptOnCrash = world.random.pick([0, 0.5, 1]);
      from.disk.faults.bitFlip = faults.bitFlip;
    }
    world.discovery.faults.drop = faults.discoveryDrop;
    world.discovery.faults.falseGoodbye = faults.discoveryLies;
    world.discovery.faults.wrongAddress = faults.discoveryLies;
    this.#every(faults.crashMs, () => this.#crash());
    this.#every(faults.restartMs, () => this.#restart());
    this.#every(faults.pauseMs, () => this.#pause());
    this.#every(world.plan.stalls.blockMs, () => this.#block(), world.stallRandom);
    this.#every(faults.diskFullMs, () => this.#fillDisk());
    this.#every(faults.clockJumpMs, () => this.#jump());
    if (nodes < 2) return;
    this.#every(faults.partitionMs, () => this.#partition());
    this.#every(faults.clogMs, () => this.#clog());
    this.#every(faults.resetMs, () => this.#reset());
  }

  /** From now on everything works. */
  heal(): void {
    const world = this.#world;
    world.isHealing = true;
    world.trace.note("healed");
    for (const undo of [...this.#undo]) undo();
    for (const from of world.nodes) {
      for (const to of world.nodes) {
        if (from === to) continue;
        const path = world.network.path(from.host, to.host);
        Object.assign(path, { ...QUIET_PATH, delayMeanMs: 0.2 });
        world.network.unblock(from.host, to.host);
      }
      const { faults } = from.disk;
      Object.assign(faults, { syncFails: 0, isFull: false, bitFlip: 0, syncMeanMs: 0.3 });
    }
    const { faults } = world.discovery;
    Object.assign(faults, { drop: 0, falseGoodbye: 0, wrongAddress: 0 });
    faults.deaf.clear();
    for (const node of world.nodes) {
      node.process?.resume();
      node.process?.unblock();
      node.start();
    }
  }

  #every(meanMs: number, fn: () => void, random = this.#world.random): void {
    if (meanMs === 0) return;
    const world = this.#world;
    world.time.after(random.exponential(meanMs), () => {
      if (world.isHealing) return;
      fn();
      this.#every(meanMs, fn, random);
    });
  }

  /** Runs `undo` after a while, or when everything heals, once. */
  later(meanMs: number, undo: () => void): void {
    this.after(this.#world.random.exponential(meanMs), undo);
  }

  /** Runs `undo` after this time, or when everything heals, once. */
  after(delayMs: number, undo: () => void): void {
    const once = (): void => {
      if (!this.#undo.delete(once)) return;
      this.#world.changed();
      undo();
    };
    this.#undo.add(once);
    this.#world.time.after(delayMs, once);
  }

  /** Two hosts do not reach one another for so long. */
  cut([a, b]: readonly [string, string], forMs: number): void {
    const { network, history, time } = this.#world;
    history.disruptions++;
    history.changesMs.push(time.nowMs);
    network.block(a, b);
    network.block(b, a);
    this.after(forMs, () => {
      history.changesMs.push(time.nowMs);
      network.unblock(a, b);
      network.unblock(b, a);
    });
  }

  #node(): SimNode {
    return this.#world.random.pick(this.#world.nodes);
  }

  #pair(): [SimNode, SimNode] {
    const from = this.#node();
    const others = this.#world.nodes.filter((node) => node !== from);
    return [from, this.#world.random.pick(others)];
  }

  #crash(): void {
    const { random, plan } = this.#world;
    const node = this.#node();
    if (node.state === "down") return;
    const powerLoss = random.chance(plan.faults.powerLoss);
    this.#world.fault(powerLoss ? "powerLoss" : "kill");
    node.crash(powerLoss);
    this.later(random.pick([50, 500, 3_000]), () => node.start());
  }

  #restart(): void {
    const node = this.#node();
    if (node.state !== "up") return;
    this.#world.fault("restart");
    node.stop();
    this.later(1_000, () => this.startWhenDown(node));
  }

  /** Its next life begins as soon as this one has ended. */
  startWhenDown(node: SimNode): void {
    if (node.state === "stopping") {
      this.#world.time.after(50, () => this.startWhenDown(node));
    } else {
      node.start();
    }
  }

  #pause(): void {
    const node = this.#node();
    const { process } = node;
    if (process === undefined || process.isPaused || !process.isAlive) return;
    this.#world.fault("pause");
    this.#world.history.changesMs.push(this.#world.time.nowMs);
    process.pause();
    this.later(this.#world.random.pick([100, 1_500, 4_000]), () => process.resume());
  }

  /** The event loop stands, the process does not. */
  #block(): void {
    const { stallRandom, nodes } = this.#world;
    const { process } = stallRandom.pick(nodes);
    if (process === undefined || process.isBlocked || !process.isAlive) return;
    this.#world.fault("block");
    process.block();
    const forMs = stallRandom.exponential(stallRandom.pick([300, 1_500, 4_000, 8_000]));
    this.after(forMs, () => process.unblock());
  }

  #partition(): void {
    const world = this.#world;
    const { random, nodes } = world;
    const kind = random.pick(["halves", "one", "oneWay", "pair", "discovery"]);
    world.fault(`partition.${kind}`);
    world.history.changesMs.push(world.time.nowMs);
    const cut: [string, string][] = [];
    const both = (a: SimNode, b: SimNode): void => {
      cut.push([a.host, b.host], [b.host, a.host]);
    };
    if (kind === "discovery") {
      const { host } = this.#node();
      world.discovery.faults.deaf.add(host);
      this.later(3_000, () => world.discovery.faults.deaf.delete(host));
      return;
    }
    if (kind === "halves") {
      const side = nodes.map(() => random.chance(0.5));
      for (const [i, a] of nodes.entries()) {
        for (const [j, b] of nodes.entries()) if (i < j && side[i] !== side[j]) both(a, b);
      }
    } else if (kind === "one") {
      const alone = this.#node();
      for (const other of nodes) if (other !== alone) both(alone, other);
    } else {
      const [a, b] = this.#pair();
      if (kind === "pair") both(a, b);
      else cut.push([a.host, b.host]);
    }
    const isReset = random.chance(0.3);
    for (const [from, to] of cut) world.network.block(from, to);
    this.later(random.pick([200, 1_500, 5_000]), () => {
      world.history.changesMs.push(world.time.nowMs);
      if (isReset) for (const [from, to] of cut) world.network.reset(from, to);
      for (const [from, to] of cut) world.network.unblock(from, to);
    });
  }

  #clog(): void {
    const [a, b] = this.#pair();
    this.#world.fault("clog");
    this.#world.network.block(a.host, b.host);
    this.later(this.#world.random.pick([20, 300, 2_000]), () =>
      this.#world.network.unblock(a.host, b.host),
    );
  }

  #reset(): void {
    const [a, b] = this.#pair();
    this.#world.history.changesMs.push(this.#world.time.nowMs);
    this.#world.network.reset(a.host, b.host);
  }

  #fillDisk(): void {
    const { disk } = this.#node();
    if (disk.faults.isFull) return;
    this.#world.fault("diskFills");
    disk.faults.isFull = true;
    this.later(1_000, () => {
      disk.faults.isFull = false;
    });
  }

  #jump(): void {
    const node = this.#node();
    const byMs = this.#world.random.pick([-3_600_000, -5_000, 5_000, 3_600_000]);
    this.#world.fault("clockJump");
    node.clocks.wallMs += byMs;
    this.later(3_000, () => {
      node.clocks.wallMs -= byMs;
    });
  }
}
