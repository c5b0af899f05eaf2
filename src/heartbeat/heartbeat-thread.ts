/** The heartbeat thread: a socket of its own, told by messages whom to watch. It ends when it is terminated. */
import { parentPort, workerData } from "node:worker_threads";
import { HeartbeatSocket } from "./heartbeat-socket.ts";
import { PulseBoard } from "./pulse-board.ts";
import type { FromThread, ThreadStart, ToThread } from "./thread-messages.ts";

const { board, listen, intervalMs, ...self } = workerData as ThreadStart;
const socket = new HeartbeatSocket(self, new PulseBoard(board), intervalMs);
const say = (message: FromThread): void => parentPort?.postMessage(message);

parentPort?.on("message", (message: ToThread) => {
  if (message.type === "watch") {
    socket.watch(message);
    return;
  }
  if (message.type === "attend") {
    socket.attend(message.slot, message.closely);
    return;
  }
  socket.unwatch(message.slot);
  say({ type: "freed", slot: message.slot });
});
say({ type: "bound", address: await socket.open(listen) });
