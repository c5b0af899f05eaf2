/** What a service is given when its process starts. */
import type { MeshNode } from "meshbus";
import type { HandlingTrace } from "../handling-trace.ts";
import type { FromService, InstanceSpec } from "../messages.ts";

export type ServiceHost = {
  readonly spec: InstanceSpec;
  readonly trace: HandlingTrace;
  /** Tells the main process. */
  readonly tell: (message: FromService) => void;
};

/** Resolves when the service listens. What it gives is called when everybody does. */
export type Service = (node: MeshNode, host: ServiceHost) => Promise<void | (() => Promise<void>)>;
