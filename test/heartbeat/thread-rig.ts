/** The real heartbeat, each in a process of its own. */
import { randomBytes } from "node:crypto";
import { NODE_ID_RANDOM_BYTES, nodeIdFrom } from "../../src/core/ids.ts";
import { type StoreChild, startChild } from "../journal/store-child.ts";
import type { Look, Rig, RigNode } from "./heartbeat-contract.ts";

export type HeartbeatCommand =
  | {
      readonly op: "watch";
      readonly peer: {
        readonly nodeId: string;
        /** In hexadecimal. */
        readonly nonce: string;
        readonly address: string;
      };
    }
  | { readonly op: "look" | "unwatch"; readonly nodeId: string }
  | { readonly op: "attend"; readonly nodeId: string; readonly closely: boolean }
  | { readonly op: "block"; readonly ms: number }
  /** "leave": nothing but what the heartbeat keeps would keep the process. */
  | { readonly op: "stop" | "leave" };

const INTERVAL_MS = 50;
const DEADLINE_MS = 60_000;
const LOOK_EVERY_MS = 5;

export class ThreadNode implements RigNode {
  readonly child: StoreChild;
  peer: RigNode["peer"] = { nodeId: "", nonce: new Uint8Array(0), address: "" };
  #answered = 0;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(child: StoreChild) {
    this.child = child;
  }

  static async start(): Promise<ThreadNode> {
    const nodeId = nodeIdFrom(randomBytes(NODE_ID_RANDOM_BYTES));
    const args = [nodeId, String(INTERVAL_MS)];
    const node = new ThreadNode(startChild({ name: "heartbeat-child", args }));
    const said = JSON.parse(await node.child.line()) as { nonce: string; address: string };
    node.#answered = 1;
    node.peer = { nodeId, nonce: Buffer.from(said.nonce, "hex"), address: said.address };
    return node;
  }

  /** One at a time; each is answered by a line. */
  call(command: HeartbeatCommand): Promise<object> {
    const turn = this.#turn.then(async () => {
      const at = this.#answered++;
      this.child.process.stdin?.write(`${JSON.stringify(command)}\n`);
      await this.child.line(() => this.child.lines.length > at);
      return JSON.parse(this.child.lines[at] as string) as object;
    });
    this.#turn = turn;
    return turn;
  }

  async watch({ nodeId, nonce, address }: RigNode["peer"]): Promise<void> {
    const hex = Buffer.from(nonce).toString("hex");
    await this.call({ op: "watch", peer: { nodeId, nonce: hex, address } });
  }

  async unwatch(nodeId: string): Promise<void> {
    await this.call({ op: "unwatch", nodeId });
  }

  async attend(nodeId: string, closely: boolean): Promise<void> {
    await this.call({ op: "attend", nodeId, closely });
  }

  async look(nodeId: string): Promise<Look> {
    const look = (await this.call({ op: "look", nodeId })) as Partial<Look>;
    return { answeredSentMs: Number.NEGATIVE_INFINITY, heardMs: -1, pulse: undefined, ...look };
  }

  async block(ms: number): Promise<void> {
    await this.call({ op: "block", ms });
  }

  async pause(): Promise<void> {
    this.child.process.kill("SIGSTOP");
  }

  async resume(): Promise<void> {
    this.child.process.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    await this.child.kill();
  }

  async stop(): Promise<void> {
    await this.call({ op: "stop" });
  }
}

export class ThreadRig implements Rig {
  readonly intervalMs = INTERVAL_MS;
  readonly #nodes: ThreadNode[] = [];

  async start(): Promise<ThreadNode> {
    const node = await ThreadNode.start();
    this.#nodes.push(node);
    return node;
  }

  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + DEADLINE_MS;
    while (!(await condition())) {
      if (performance.now() > endMs) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.kill()));
  }
}
