/** `createTestMesh`: a mesh of real nodes in simulated time, for tests of the services that use it. */
import { TestMesh } from "./test-mesh.ts";
import { resolveMeshOptions, type TestMeshOptions } from "./test-mesh-options.ts";

/** @throws MeshError INVALID_OPTIONS */
export const createTestMesh = async (options: TestMeshOptions = {}): Promise<TestMesh> =>
  new TestMesh(resolveMeshOptions(options));
