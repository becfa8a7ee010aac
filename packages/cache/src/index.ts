export { DurableStaging, type DurableStagingOptions } from './staging.ts'
