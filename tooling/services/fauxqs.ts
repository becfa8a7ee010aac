// Started by fauxqs.sh: node fauxqs.ts PORT
import { startFauxqs } from 'fauxqs'

await startFauxqs({ port: Number(process.argv[2]), logger: false })
