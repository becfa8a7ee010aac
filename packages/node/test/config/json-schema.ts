import type { OptionRule } from '@stored/core/backend'
import {
  BACKEND_NAME,
  BACKEND_OPTIONS,
  DRIVER_OPTION,
  type Option,
  type Options,
  STORE_OPTIONS,
} from '../../src/configuration/options.ts'

export interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly if?: Schema
  readonly then?: Schema
  readonly pattern?: string
  readonly minLength?: number
  readonly minimum?: number
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly propertyNames?: Schema
  readonly additionalProperties?: boolean | Schema
  readonly required?: readonly string[]
  readonly [annotation: string]: unknown
}

/** As `parseByteSize` reads it. */
const SIZE_PATTERN = '^\\s*\\d+(\\.\\d+)? ?(([KkMmGgTt][Ii]?)?[Bb])?\\s*$'

/** The options of drivers that have a table of them, by the name of the driver. */
export type DriverOptions = Readonly<Record<string, Readonly<Record<string, DriverOption>>>>
type DriverOption = Pick<OptionRule, 'doc' | 'default' | 'otherwise' | 'needed' | 'schema'>

/** The JSON Schema of `stored.config.json`, from what the code knows. */
export function configSchema(drivers: DriverOptions): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of StoreD',
    // Of the editors that follow Visual Studio Code.
    allowComments: true,
    allowTrailingCommas: true,
    ...objectSchema(STORE_OPTIONS, { $schema: { type: 'string' } }),
    additionalProperties: false,
    definitions: {
      backend: {
        ...objectSchema({ driver: DRIVER_OPTION, ...BACKEND_OPTIONS }),
        allOf: Object.entries(drivers).map(([name, options]) => driverSchema(name, options)),
      },
      reference: {
        description: 'The value is in a variable of the environment, or in a file.',
        anyOf: ['env', 'file'].map((kind) => ({
          type: 'object',
          properties: { [kind]: { type: 'string', minLength: 1 } },
          required: [kind],
          additionalProperties: false,
        })),
      },
    },
  }
}

/** What a backend of a driver may say. What a configuration cannot hold, such as a function, is left out. */
function driverSchema(name: string, options: DriverOptions[string]): Schema {
  const known = ['driver', ...Object.keys(BACKEND_OPTIONS)].map((option) => [option, {}] as const)
  const own = Object.entries(options).flatMap(([option, { doc, schema, otherwise, default: value }]) => {
    if (!schema) return []
    const description = otherwise ? `${doc} Default: ${otherwise}.` : doc
    const given = { anyOf: [schema as Schema, { $ref: '#/definitions/reference' }] }
    return [[option, { description, ...(value !== undefined && { default: value }), ...given }] as const]
  })
  const required = Object.keys(options).filter((option) => options[option]?.needed)
  return {
    if: { properties: { driver: { enum: [name, `@stored/driver-${name}`] } } },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { properties: Object.fromEntries([...known, ...own]), required, additionalProperties: false },
  }
}

function objectSchema(options: Options, more: Readonly<Record<string, Schema>> = {}): Schema {
  const required = Object.keys(options).filter((name) => options[name]?.required)
  const properties = Object.entries(options).map(([name, option]) => [name, optionSchema(option)] as const)
  return {
    type: 'object',
    properties: { ...more, ...Object.fromEntries(properties) },
    ...(required.length > 0 && { required }),
  }
}

function optionSchema(option: Option): Schema {
  const description = option.otherwise ? `${option.about} Default: ${option.otherwise}.` : option.about
  return { description, ...('default' in option && { default: option.default }), ...KINDS[option.is](option) }
}

const KINDS: Readonly<Record<Option['is'], (option: Option) => Schema>> = {
  text: () => ({ type: 'string', minLength: 1 }),
  path: () => ({ type: 'string', minLength: 1 }),
  prefix: () => ({ type: 'string', minLength: 1 }),
  boolean: () => ({ type: 'boolean' }),
  count: ({ least = 1 }) => ({ type: 'integer', minimum: least }),
  size: () => ({
    anyOf: [
      { type: 'integer', minimum: 1 },
      { type: 'string', pattern: SIZE_PATTERN },
    ],
  }),
  choice: ({ choices = [] }) => ({ enum: choices }),
  list: ({ choices }) => ({ type: 'array', items: choices ? { enum: choices } : { type: 'string' } }),
  group: ({ options = {}, orFalse }) => {
    const group = { ...objectSchema(options), additionalProperties: false }
    return orFalse ? { anyOf: [group, { const: false }] } : group
  },
  backends: () => ({
    type: 'object',
    propertyNames: { pattern: BACKEND_NAME.source },
    additionalProperties: {
      $ref: '#/definitions/backend',
    },
  }),
}

/** Whether `value` is as `schema` has it, by the keywords that are used here; `root` is what references start from. */
export function fits(value: unknown, schema: Schema, root = schema): boolean {
  if (typeof schema.$ref === 'string') return fits(value, referred(root, schema.$ref), root)
  const { type, anyOf, pattern, minLength = 0, minimum, items, propertyNames } = schema
  if (schema.allOf && !schema.allOf.every((each) => fits(value, each, root))) return false
  if (schema.if && schema.then && fits(value, schema.if, root) && !fits(value, schema.then, root)) return false
  if ('const' in schema && value !== schema.const) return false
  if (schema.enum && !schema.enum.includes(value)) return false
  if (anyOf && !anyOf.some((each) => fits(value, each, root))) return false
  if (type && !TYPES[type]?.(value)) return false
  if (typeof value === 'string') return value.length >= minLength && (!pattern || new RegExp(pattern).test(value))
  if (typeof value === 'number') return minimum === undefined || value >= minimum
  if (Array.isArray(value)) return !items || value.every((item) => fits(item, items, root))
  if (typeof value !== 'object' || value === null) return true
  const names = Object.keys(value)
  if (propertyNames && !names.every((name) => fits(name, propertyNames, root))) return false
  return (
    (schema.required ?? []).every((name) => names.includes(name)) &&
    names.every((name) => fitsProperty(value, name, schema, root))
  )
}

function referred(root: Schema, reference: string): Schema {
  const steps = reference.slice('#/'.length).split('/')
  return steps.reduce<unknown>((at, step) => (at as Record<string, unknown>)[step], root) as Schema
}

function fitsProperty(
  value: object,
  name: string,
  { properties = {}, additionalProperties = true }: Schema,
  root: Schema,
): boolean {
  const schema = Object.hasOwn(properties, name) ? properties[name] : additionalProperties
  if (schema === undefined || typeof schema === 'boolean') return schema !== false
  return fits((value as Record<string, unknown>)[name], schema, root)
}

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  integer: Number.isInteger,
  array: Array.isArray,
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
}
