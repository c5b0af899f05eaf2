/** meshbus/testing: a mesh in memory, in simulated time, to test services in. This file only re-exports. */
export { createTestMesh } from "./create-test-mesh.ts";
export type { Violation } from "./history.ts";
export type { TestDisk } from "./test-disk.ts";
export type { Nodes, TestMesh } from "./test-mesh.ts";
export type { TestMeshOptions } from "./test-mesh-options.ts";
export type { Handling, PublishedMessage } from "./test-records.ts";
