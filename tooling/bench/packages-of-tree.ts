// Lets the benches of this tree find the packages of another one. Imported before anything else of a process of the lab.
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { TREE } from './tree.ts'

const HERE = new URL('.', import.meta.url).href
const THERE = pathToFileURL(join(process.env[TREE] as string, 'tooling', 'bench', 'bench.ts')).href

registerHooks({
  resolve(specifier, context, next) {
    const isOurs = specifier.startsWith('@stored/') && context.parentURL?.startsWith(HERE)
    return next(specifier, isOurs ? { ...context, parentURL: THERE } : context)
  },
})
