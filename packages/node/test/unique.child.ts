import path from 'node:path'
import { openStore } from '@stored/node'

// Takes as many names as it can, each once in the store, when it is told to begin; says which.
const [directory, who] = process.argv.slice(2) as [string, string]
await using store = await openStore({
  path: path.join(directory, 'store'),
  backends: { a: { driver: 'fs', root: path.join(directory, 'a') } },
  sync: false,
})
const names = store.extension('names').table<{ who: string }>('names')
console.log('ready')
for await (const _ of process.stdin) break
const won: string[] = []
for (let i = 0; i < 100; i++) {
  const name = `name-${i}`
  const take = store.put(Buffer.from(`${who} ${i}`), {
    key: `${who}/${name}`,
    also: (tx) => {
      if (names.get(tx, name)) throw new RangeError(`${name} is taken`)
      names.put(tx, name, { who })
    },
  })
  await take.then(
    () => won.push(name),
    (error) => {
      if (!(error instanceof RangeError)) throw error
    },
  )
}
console.log(JSON.stringify(won))
