/** Sends what a batch holds, without a copy of its tail where the transport can. */
import type { Connection } from "../../ports/transport.ts";
import type { BatchWriter } from "../../wire/batch-writer.ts";

export const sendBatch = (connection: Connection, batch: BatchWriter): void => {
  const { tail } = batch;
  const frame = batch.finish();
  if (tail === undefined) connection.send(frame);
  else if (connection.sendParts !== undefined) connection.sendParts([frame, tail]);
  else connection.send(Buffer.concat([frame, tail]));
};
