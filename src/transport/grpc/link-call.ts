/**
 * How a link looks to gRPC: one call of `meshbus.v1.Link/Open` with a stream of frames each way, and what
 * grpc-js is told so that nothing of it stands between a frame and the socket.
 *
 * A gRPC message is one frame, as it is: the bytes of a protobuf `Frame`, so that a client generated from
 * link.proto understands it. The empty message is the close marker: its sender sends nothing more.
 *
 * Source: grpc-js 1.14 as it behaves. Its retry buffer calls a write done before it was written, so it has
 * no room here; a channel of its own for each dial (no shared subchannels, no proxy, no service config)
 * makes one call one socket.
 */
import type { ServiceDefinition } from "@grpc/grpc-js";

export const SCHEME = "grpc";
export const OPEN_PATH = "/meshbus.v1.Link/Open";
/** Its name in the TLS handshake. */
export const HTTP2 = "h2";
export const MARKER: Buffer = Buffer.alloc(0);
/** How long a connection that closes waits for a peer that takes nothing, and for one that reads on. */
export const CLOSE_MS = 500;
export const CLOSE_MAX_MS = 2_000;

/** Frames are given and taken as bytes: grpc-js neither encodes nor decodes. */
export const asBytes = (bytes: Buffer): Buffer => bytes;

/** The service that has this call. */
export const serviceOf = (path: string): ServiceDefinition => ({
  open: {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: asBytes,
    requestDeserialize: asBytes,
    responseSerialize: asBytes,
    responseDeserialize: asBytes,
  },
});

/** Of both sides. grpc-js refuses a longer message at its header. */
export const messageLimits = (frameBytesMax: number): Record<string, number> => ({
  "grpc.max_receive_message_length": frameBytesMax,
  "grpc.max_send_message_length": -1,
  "grpc.enable_channelz": 0,
});

export const dialOptions = (frameBytesMax: number): Record<string, number> => ({
  ...messageLimits(frameBytesMax),
  "grpc.use_local_subchannel_pool": 1,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_http_proxy": 0,
  "grpc.enable_retries": 0,
  "grpc.per_rpc_retry_buffer_size": 0,
});
