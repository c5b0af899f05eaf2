/** meshbus: a brokerless messaging mesh. This file only re-exports what users hold. */
export { bytes, json } from "./contract/codec.ts";
export type {
  CommandContract,
  EventContract,
  InputOf,
  OutputOf,
  QueryContract,
  ReplyInputOf,
  ReplyOutputOf,
} from "./contract/contract.ts";
export { command, event, query } from "./contract/define-contract.ts";
export { type EncryptedOptions, ErasedField, encrypted, isErased } from "./contract/encrypted.ts";
export { protobuf } from "./contract/protobuf.ts";
export { openField, sealField } from "./contract/seal-field.ts";
export { dns } from "./discovery/dns/dns.ts";
export type { DnsOptions } from "./discovery/dns/dns-options.ts";
export {
  type Browsed,
  type BrowsedInterface,
  type BrowseOptions,
  browseMdns,
  type HeardNode,
} from "./discovery/mdns/browse.ts";
export { mdns } from "./discovery/mdns/mdns.ts";
export type { MdnsOptions } from "./discovery/mdns/mdns-options.ts";
export { staticPeers } from "./discovery/static/static-peers.ts";
export { ERROR_TABLE, type ErrorCode, MeshError } from "./errors.ts";
export { createNode } from "./mesh/create-node.ts";
export type { DeadLetterBody, DeadLetterEntry } from "./mesh/dead-letter-access.ts";
export type { Declared } from "./mesh/declared-of.ts";
export type { HandlerContext, ReceivedMessage, StateAccess } from "./mesh/handler-context.ts";
export type { Health } from "./mesh/health-of.ts";
export type { Handler, MeshNode, ReplyHandler } from "./mesh/mesh-node.ts";
export type { ManualMessage, MessageStream } from "./mesh/message-stream.ts";
export type { Ledgers, PeerInfo, StopReport } from "./mesh/node-report.ts";
export type { Receipt } from "./mesh/receipt.ts";
export type { ShardOwner, Shards } from "./mesh/shards-of.ts";

export type { Subscription } from "./mesh/subscription.ts";
export type { RequestContext } from "./mesh/user-handlers.ts";
export type { NodeOptions } from "./options/node-options.ts";
export type { EmitOptions, PublishOptions } from "./options/publish-options.ts";
export type { BreakerOptions, RateOptions } from "./options/read-flow.ts";
export type { RequestOptions } from "./options/request-options.ts";
export type { SubscribeOptions } from "./options/subscribe-options.ts";
export type { Clock, Timer } from "./ports/clock.ts";
export type { Discovery } from "./ports/discovery.ts";
export type { FieldKey, FieldKeys } from "./ports/field-keys.ts";
export type { LogFields, Logger } from "./ports/logger.ts";
export type { Random } from "./ports/random.ts";
export type { Transport } from "./ports/transport.ts";
export { RetryLater, Unrecoverable } from "./runtime/consumer/outcome.ts";
export type { StatusChange } from "./runtime/environment.ts";
export { type KeyRing, type KeyRingOptions, keyRing } from "./security/key-ring.ts";
export { inproc } from "./transport/memory/inproc-transport.ts";
export { type StreamOptions, stream } from "./transport/stream/stream-transport.ts";
export { type UnixOptions, unix } from "./transport/stream/unix-transport.ts";
export { type ZeromqOptions, zeromq } from "./transport/zeromq/zeromq-transport.ts";
