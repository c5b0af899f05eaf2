/** Errors as a client of the gateway sees them: in an answer, or as the end of a call. */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type ErrorCode, MeshError } from "../errors.ts";
import type { WireError } from "./gateway-protocol.ts";

/** What each code is as a gRPC status; docs/gateway.md shows the same. */
export const STATUS_OF: Readonly<Record<ErrorCode, keyof typeof status>> = Object.freeze({
  INVALID_OPTIONS: "INVALID_ARGUMENT",
  INVALID_SUBJECT: "INVALID_ARGUMENT",
  SCHEMA_VIOLATION: "INVALID_ARGUMENT",
  PAYLOAD_TOO_LARGE: "INVALID_ARGUMENT",
  INSECURE_LISTEN: "FAILED_PRECONDITION",
  ADDRESS_IN_USE: "FAILED_PRECONDITION",
  DUPLICATE_NODE: "FAILED_PRECONDITION",
  JOURNAL_FULL: "RESOURCE_EXHAUSTED",
  JOURNAL_LOCKED: "FAILED_PRECONDITION",
  JOURNAL_DAMAGED: "DATA_LOSS",
  DISK_FULL: "RESOURCE_EXHAUSTED",
  OUTCOME_UNKNOWN: "UNKNOWN",
  STOPPED: "UNAVAILABLE",
  TIMEOUT: "DEADLINE_EXCEEDED",
  ABORTED: "CANCELLED",
  NO_HANDLER: "UNAVAILABLE",
  REMOTE_ERROR: "UNKNOWN",
  COMMAND_CLAIMED: "FAILED_PRECONDITION",
  SUBSCRIPTION_MISMATCH: "FAILED_PRECONDITION",
  SUBSCRIPTION_LIMIT: "RESOURCE_EXHAUSTED",
  CONTRACT_MISMATCH: "FAILED_PRECONDITION",
  VERSION_MISMATCH: "FAILED_PRECONDITION",
  UNAUTHORIZED: "PERMISSION_DENIED",
  INVALID_KEYS: "FAILED_PRECONDITION",
  FAULTY_DEPENDENCY: "FAILED_PRECONDITION",
  RATE_LIMITED: "RESOURCE_EXHAUSTED",
  CIRCUIT_OPEN: "UNAVAILABLE",
  EXPIRED: "DEADLINE_EXCEEDED",
  PEER_LOST: "UNAVAILABLE",
  ALREADY_SETTLED: "FAILED_PRECONDITION",
  STATE_UNAVAILABLE: "FAILED_PRECONDITION",
});

const MESSAGE_MAX = 1_024;
const DETAILS_MAX = 16_384;

/** For an answer. */
export const wireError = (error: unknown): WireError => {
  if (!MeshError.is(error)) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      code: "INTERNAL",
      message: message.slice(0, MESSAGE_MAX),
      retryable: false,
      details: "",
    };
  }
  const details = JSON.stringify(error.details);
  return {
    code: error.code,
    message: error.message.slice(0, MESSAGE_MAX),
    retryable: error.retryable,
    details: details === "{}" || details.length > DETAILS_MAX ? "" : details,
  };
};

/** For the end of a call. */
export const statusOf = (error: unknown): Partial<ServiceError> => {
  const { code, message, retryable } = wireError(error);
  const metadata = new Metadata();
  metadata.set("meshbus-code", code);
  metadata.set("meshbus-retryable", String(retryable));
  const name = MeshError.is(error) ? STATUS_OF[error.code] : "INTERNAL";
  return { code: status[name], details: message, metadata };
};
