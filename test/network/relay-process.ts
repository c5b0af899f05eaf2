/**
 * A cable with delay, loss and duplicates: passes frames between two TAP devices that it inherits, the first
 * one the port of the bridge, the second one the host's.
 *
 * What the host sends is delayed, and some of it lost or doubled; what it receives is not, so that each frame
 * between two hosts suffers once. The order stays. What happens to the n-th frame is drawn from the seed.
 */
import { read, writeSync } from "node:fs";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import type { Air } from "./network-bed.ts";

type Spec = Air & { readonly seed: number; readonly name: string };

const FRAME_BYTES_MAX = 2_048;

const { delayMs, loss, duplicates, seed, name } = JSON.parse(process.argv[2] ?? "") as Spec;
const [port = -1, host = -1] = (process.env.TAPS ?? "").split(" ").map(Number);
const random = new SeededRandom(seed, `cable ${name}`);

/** A device that is down takes nothing: the frame is lost, as on a cable that leads nowhere. */
const pass = (to: number, frame: Uint8Array): void => {
  try {
    writeSync(to, frame);
  } catch (error) {
    if ((error as { code?: string }).code !== "EIO") throw error;
  }
};

const pump = (from: number, forward: (frame: Uint8Array) => void): void => {
  const buffer = new Uint8Array(FRAME_BYTES_MAX);
  const next = (): void =>
    read(from, buffer, 0, FRAME_BYTES_MAX, null, (error, bytes) => {
      if (error !== null) throw error;
      forward(buffer.slice(0, bytes));
      next();
    });
  next();
};

pump(host, (frame) => {
  if (random.chance(loss)) return;
  const copies = random.chance(duplicates) ? 2 : 1;
  setTimeout(() => {
    for (let copy = 0; copy < copies; copy++) pass(port, frame);
  }, delayMs);
});
pump(port, (frame) => pass(host, frame));
process.stdout.write("ready\n");
