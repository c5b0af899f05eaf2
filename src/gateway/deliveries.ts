/** What the node hands over, as a client gets it, and its size. */
import type { HandlerContext } from "../mesh/handler-context.ts";
import type { RequestContext } from "../mesh/user-handlers.ts";
import type { Headers } from "./gateway-protocol.ts";
import type { Raw } from "./raw-contract.ts";

export type Sized = { readonly content: object; readonly bytes: number };

/** Fields of fixed size, ids and what holds them. */
const OVERHEAD = 512;

export const deliveryOf = ({ contentType, payload }: Raw, ctx: HandlerContext): Sized => {
  const { message } = ctx;
  const { subject, key, headers, position } = message;
  const isVolatile = position.epoch === 0;
  const content = {
    ...{ subject, contentType, payload, key, headers },
    id: message.id,
    ...(isVolatile ? {} : { position }),
    timeMs: message.time.getTime(),
    attempt: message.attempt,
    correlationId: message.correlationId,
    causationId: message.causationId,
    replayOf: message.replayOf,
    producer: message.producer,
    fence: String(ctx.fence),
  };
  return { content, bytes: OVERHEAD + payload.length + sizeOf(headers) };
};

export const askedOf = (
  subject: string,
  { contentType, payload }: Raw,
  { headers, correlationId, caller }: RequestContext,
): Sized => ({
  content: { subject, contentType, payload, headers, correlationId, caller },
  bytes: OVERHEAD + payload.length + sizeOf(headers),
});

const sizeOf = (headers: Headers): number => {
  let bytes = 0;
  for (const name in headers) bytes += name.length + (headers[name] as string).length;
  return bytes;
};
