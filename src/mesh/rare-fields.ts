/** The fields of an envelope that most messages do not have, from the options of a call and from its cause. */
import type { ResolvedPublishOptions } from "../options/publish-options.ts";

/** Ids that a message carries for the one that caused it. */
export type Cause = { readonly id: string; readonly correlationId: string | undefined };

/** Whether the options ask for none of them. */
export const isPlain = (options: ResolvedPublishOptions): boolean =>
  options.headers === undefined &&
  options.id === undefined &&
  options.correlationId === undefined &&
  options.causationId === undefined &&
  options.idempotencyKey === undefined;

/** Those fields, for the encoder. */
export const rareOf = (options: ResolvedPublishOptions, cause: Cause | undefined) => ({
  id: options.id,
  headers: options.headers,
  idempotencyKey: options.idempotencyKey,
  correlationId: options.correlationId ?? cause?.correlationId ?? cause?.id,
  causationId: options.causationId ?? cause?.id,
});
