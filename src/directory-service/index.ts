/** meshbus/directory: the directory service, both sides. This file only re-exports what users hold. */
export type { DirectoryServiceOptions } from "./client-options.ts";
export { directoryService } from "./directory-service.ts";
export { type Directory, serveDirectory } from "./serve-directory.ts";
export type { ServeDirectoryOptions } from "./serve-options.ts";
