/**
 * A program beside a gateway: subscribes, writes a line for each delivery, and acks it if told to. Arguments:
 * the gateway's address, "ack" or "keep", and the Open as JSON. Ends with the call, or when stdin does.
 */
import { writeSync } from "node:fs";
import { type Heard, RawClient } from "../gateway/raw-client.ts";

const [address = "", mode = "", open = "{}"] = process.argv.slice(2);
const call = new RawClient(address).call("Subscribe");
const say = (said: object): void => void writeSync(1, `${JSON.stringify(said)}\n`);

call.stream.on("data", ({ opened, deliveries }: Heard) => {
  if (opened) say({ opened: true });
  for (const { number, key, payload, attempt } of deliveries) {
    say({ n: JSON.parse(String(payload)).n, key, attempt });
    if (mode === "ack") call.ack(number);
  }
});
call.say({ open: JSON.parse(open) });
process.stdin.on("end", () => process.exit(0)).resume();
void call.ended.then(({ code }) => process.exit(code === 0 ? 0 : 1));
