export { type CreateOptions, createDriver } from './create-driver.ts'
export { Mistake } from './mistake.ts'
export { packageName } from './name.ts'
