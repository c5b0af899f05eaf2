/** The transports of a bench's nodes: one alone, or what a node has unless told otherwise. */
import { stream, type Transport, zeromq } from "meshbus";
import { grpc } from "meshbus/grpc";

export type Scheme = "grpc" | "tcp" | "zmq";

const CREATE = { grpc, tcp: stream, zmq: zeromq } as const;

/** An option of createNode(). */
export const transportsOf = (scheme?: Scheme): { transports?: readonly Transport[] } =>
  scheme === undefined ? {} : { transports: [CREATE[scheme]()] };
