export {
  type AddOptions,
  addBackendToFile,
  createConfigFile,
  newConfigText,
  removeBackendFromFile,
} from './configuration/edit.ts'
export { findConfigFile } from './configuration/files.ts'
export { type LoadedConfig, type LoadOptions, listBackendNames, loadConfig } from './configuration/load.ts'
export type { Origin } from './configuration/origins.ts'
export { resolveBackend } from './configuration/resolve-backend.ts'
export { resolveBackends } from './configuration/resolve-backends.ts'
export { findModule, type Lookup } from './find-module.ts'
