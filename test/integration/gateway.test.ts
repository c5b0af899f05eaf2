/** Programs beside a gateway, in processes of their own: they are killed, and so is the gateway's node. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import type { ChildNode } from "./child-node.ts";
import { range, until } from "./until.ts";
import { type World, worlds } from "./world.ts";

const PROGRAM = fileURLToPath(
  new URL("../../.build/test/children/gateway-client.js", import.meta.url),
);

type Got = { readonly n: number; readonly key: string; readonly attempt: number };

/** A client in a process of its own. */
class Program {
  readonly got: Got[] = [];
  readonly ended: Promise<unknown>;
  readonly #child: ChildProcess;
  #isOpen = false;
  #isOver = false;
  #errors = "";

  constructor(address: string, mode: "ack" | "keep", open: object) {
    this.#child = spawn(process.execPath, [PROGRAM, address, mode, JSON.stringify(open)]);
    this.ended = new Promise((resolve) => this.#child.once("close", resolve));
    void this.ended.then(() => {
      this.#isOver = true;
    });
    this.#child.stderr?.on("data", (chunk) => {
      this.#errors = (this.#errors + String(chunk)).slice(-2_000);
    });
    let text = "";
    this.#child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (text + chunk).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const said = JSON.parse(line) as Got & { opened?: boolean };
        if (said.opened) this.#isOpen = true;
        else this.got.push(said);
      }
    });
  }

  opened(): Promise<void> {
    return until(
      "the program's stream is open",
      () => this.#isOpen,
      () => this.#errors,
    );
  }

  gets(count: number): Promise<void> {
    return until(
      `the program gets ${count}`,
      () => this.got.length >= count,
      () => {
        return `${this.got.length}, ${this.#isOver ? "ended" : "runs"} ${this.#errors}`;
      },
    );
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}

const world = worlds(afterEach);
let programs: Program[] = [];
afterEach(async () => {
  await Promise.all(programs.map((program) => program.kill()));
  programs = [];
});

const start = (address: string, mode: "ack" | "keep", open: object): Program => {
  const program = new Program(address, mode, open);
  programs.push(program);
  return program;
};

const gatewayOf = (node: ChildNode): Promise<string> =>
  node.call({ op: "gateway" }) as Promise<string>;

const KEYS = 4;
const say = (node: ChildNode, from: number, count: number): Promise<unknown> =>
  Promise.all(
    range(from, count).map((n) =>
      node.publish("task.set", n, { options: { key: `k${n % KEYS}` } }),
    ),
  );

/** First handlings, key by key, are in the order of the numbers. */
const expectOrder = (numbers: readonly number[]): void => {
  for (const key of range(0, KEYS)) {
    const mine = [...new Set(numbers.filter((n) => n % KEYS === key))];
    expect(mine).toEqual([...mine].sort((a, b) => a - b));
  }
};

const two = async (mesh: World): Promise<readonly [ChildNode, ChildNode]> => {
  const nodes = await Promise.all([mesh.start("orders"), mesh.start("edge")]);
  await mesh.link(...nodes);
  return nodes;
};

const OPEN = { pattern: "task.set", group: "work", durable: true, credit: 8 };
const SUBSCRIPTION = "event work task.set";

it("what a killed client had goes to another at once, in order, and no attempt counts", async () => {
  const [orders, edge] = await two(await world());
  const address = await gatewayOf(edge);
  const first = start(address, "keep", OPEN);
  await first.opened();
  await say(orders, 0, 20);
  await first.gets(KEYS); // one of each key, and the rest behind them
  await first.kill();
  const second = start(address, "ack", OPEN);
  await second.gets(20);
  expect(await orders.settled(SUBSCRIPTION, 20)).toMatchObject({ acked: 20 });
  expect(second.got.every(({ attempt }) => attempt === 1)).toBe(true);
  expectOrder(second.got.map(({ n }) => n));
});

it("a durable subscription goes on after its gateway's node and its clients were killed", async () => {
  const mesh = await world();
  const [orders, edge] = await two(mesh);
  const keeps = start(await gatewayOf(edge), "keep", OPEN);
  await keeps.opened();
  await say(orders, 0, 20);
  await keeps.gets(KEYS);
  await edge.kill();
  await keeps.ended; // its call ended with the node
  await say(orders, 20, 20); // accepted meanwhile
  const again = await mesh.start("edge");
  await mesh.link(orders, again);
  const acks = start(await gatewayOf(again), "ack", OPEN);
  await acks.gets(40);
  expect(await orders.settled(SUBSCRIPTION, 40)).toMatchObject({ acked: 40 });
  expectOrder(acks.got.map(({ n }) => n));
});

it("a member at another node takes over from a client whose gateway was killed", async () => {
  const mesh = await world();
  const [orders, edge] = await two(mesh);
  const keeps = start(await gatewayOf(edge), "keep", OPEN);
  await keeps.opened();
  await say(orders, 0, 20);
  await keeps.gets(KEYS);
  const worker = await mesh.start("worker");
  await mesh.link(orders, worker, edge);
  await worker.listen({
    ...{ name: "work", verb: "subscribe", subject: "task.set" },
    options: { group: "work", durable: true },
  });
  await edge.kill();
  await worker.handledAll("work", range(0, 20));
  expect(await orders.settled(SUBSCRIPTION, 20)).toMatchObject({ acked: 20 });
  expectOrder(worker.numbers("end", "work"));
});
