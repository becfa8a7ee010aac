export { type Address, overlapOf } from './backend/address.ts'
export { type Codec, type CodecOptions, makeCodec } from './backend/codec.ts'
export * from './backend/contract.ts'
export { mapErrno } from './backend/errno.ts'
export {
  type ErrorLocation,
  errorPage,
  STORAGE_ERROR_CODES,
  StorageError,
  type StorageErrorCode,
  type StorageErrorOptions,
  toStorageError,
} from './backend/error.ts'
export { escapeName } from './backend/escape-name.ts'
export { type HttpErrorOptions, mapHttp } from './backend/http.ts'
export { checkKey, compareKeys, isId, keyFault, MAX_KEY_BYTES, RESERVED_PREFIX } from './backend/keys.ts'
export { MemoryBackend, type MemoryBackendOptions, type MemoryBlob, MemoryPlace } from './backend/memory-backend.ts'
export { checkOption, checkOptions, describeType, nearest, unknownName } from './backend/options.ts'
export { partition } from './backend/partition.ts'
export { keepSecret, redact } from './backend/redact.ts'
export {
  type Check,
  is,
  needed,
  type OptionRule,
  type OptionRulesOf,
  type Rule,
  type Rules,
  type RulesOf,
} from './backend/rules.ts'
export { Credential, type CredentialOptions, type Secret, type UseOptions } from './backend/secret.ts'
