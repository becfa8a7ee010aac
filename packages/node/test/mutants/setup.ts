import { atWork } from './mutant.ts'

// Of a process that was started to try a single one.
atWork(process.env.STORED_MUTANT)
