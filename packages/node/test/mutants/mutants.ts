import type { Mutant } from './mutant.ts'

const CORE = 'packages/core/src/stored'
const QUEUE = 'packages/syncd/src/queue/job-queue.ts'
const MOVES = 'packages/syncd/src/queue/job-moves.ts'
const STAGING = 'packages/staging/src/staging.ts'

const RACES = 'packages/node/test/races.test.ts'
const PORTS = 'packages/node/test/ports.test.ts'
const PUT_PLANS = 'packages/node/test/plans/put.test.ts'
const STAGING_TESTS = 'packages/staging/src/staging.test.ts'
const SETTLE_TESTS = 'packages/syncd/src/work/settle.test.ts'
const QUEUE_TESTS = 'packages/syncd/src/queue/job-queue.test.ts'
const REPAIR_TESTS = 'packages/node/test/repair.test.ts'
const VERIFY_TESTS = 'packages/node/test/verify.test.ts'
const BOUNDED = 'packages/node/test/bounded-staging.test.ts'
const LAYOUTS = 'packages/node/test/layouts.test.ts'

type Guard = readonly [what: string, from: string, to: string, test?: string]

function of(file: string, guards: readonly Guard[]): Mutant[] {
  return guards.map(([what, from, to, test]) => ({ what, file, from, to, ...(test !== undefined && { test }) }))
}

/** What plans read before they write, taken away one by one. */
export const MUTANTS: readonly Mutant[] = [
  ...of(`${CORE}/put/plan-put.ts`, [
    ['put: the former binding is not looked at', '«bound && bound.id !== id ? bound.id : null»', 'null'],
    ['put: ifAbsent is not judged in the plan', '«ifAbsent && bound»', 'false'],
    ['put: ifMatch is not judged in the plan', '«ifMatch !== undefined && bound?.id !== ifMatch»', 'false'],
    ['put: the place of another blob is taken', "«!now || now.id === id || now.state === 'deleting'»", 'true'],
    [
      'put: the object of all keys of the former blob is taken, whichever keys are left',
      '«(isObjectOf(now, key) || index.keys(tx, former, { limit: 2 }).length === 1)»',
      'true',
    ],
    [
      'put: keys that are the ids of other blobs are taken',
      '«isAmongIds(prefix, key) && key !== idKey(prefix, id) && bound?.id !== id»',
      'false',
      LAYOUTS,
    ],
    ['put: the copy of any blob is settled', '«now && isSettled(now, id)»', 'now && isSettled(now, now.id)'],
    ['put: an object stays one key’s own when all share it', '«shared && !now.shared ? sharedByAll(now) : now»', 'now'],
    ['put: a try that was begun is forgotten', '«leavesTry(now, id) && queue.begun(tx, place)»', 'false'],
    [
      'put: bytes that other places owe are not staged again',
      "«locations.some(owes) || index.hasPlace(tx, { id, standing: 'owing' })»",
      'locations.some(owes)',
      PUT_PLANS,
    ],
    [
      'put: bytes are kept that nothing owes',
      "«locations.some(owes) || index.hasPlace(tx, { id, standing: 'owing' })»",
      'true',
    ],
    [
      'put: bytes that a backend has are not marked',
      "«known && index.hasPlace(tx, { id, standing: 'synced' })»",
      'false',
      RACES,
    ],
    [
      'put: the end of the former blob is not recorded',
      "«ledger.record(tx, { type: 'delete', checksum: forgotten, keys: [], time: tx.now })»",
      'undefined',
    ],
    ['put: every blob is new', 'const isNew = «known === null»', 'true'],
    [
      'put: what was known of the blob is written over',
      '«known ? merge(known, given, options.mimeType !== undefined) : given»',
      'given',
      RACES,
    ],
  ]),
  ...of(`${CORE}/put/put.ts`, [
    [
      'put: the binding is that of before the plan',
      '«services.ledger.transact((tx) => planPut(services, tx, input))»',
      `services.ledger.look((view) => services.index.binding(view, input.key)).then((early) => {
        const get = (target, name) => name === 'binding' ? () => early : target[name].bind(target)
        const index = new Proxy(services.index, { get })
        return services.ledger.transact((tx) => planPut({ ...services, index }, tx, input))
      })`,
    ],
    [
      'put: the locations are those of before the plan',
      '«services.ledger.transact((tx) => planPut(services, tx, input))»',
      `services.ledger.look((view) => new Map(input.targets.map((one) => {
        const place = services.backends.placeOf(one, input.key, input.facts.id)
        return [place.backend, services.index.location(view, place)]
      }))).then((early) => {
        const location = (tx, place) => early.has(place.backend) ? early.get(place.backend) : services.index.location(tx, place)
        const get = (target, name) => name === 'location' ? location : target[name].bind(target)
        const index = new Proxy(services.index, { get })
        return services.ledger.transact((tx) => planPut({ ...services, index }, tx, input))
      })`,
    ],
  ]),
  ...of(`${CORE}/delete/give-up.ts`, [
    [
      'delete: a key takes the blob along, whichever keys are left',
      '«rows.index.keys(view, id, { limit: 2 }).every((other) => other === key)»',
      'true',
    ],
    [
      'delete: a blob outlives its last key',
      '«rows.index.keys(view, id, { limit: 2 }).every((other) => other === key)»',
      'false',
    ],
    ['delete: bytes leave that another key owes', "«!index.hasPlace(tx, { id, standing: 'owing' })»", 'true'],
    ['delete: bytes stay that no other key owes', "«!index.hasPlace(tx, { id, standing: 'owing' })»", 'false'],
    [
      'delete: what a try may have left is not cleaned',
      '«location.holds?.id !== location.id && queue.begun(view, location)»',
      'false',
    ],
    ['delete: a place where nothing lies keeps its job', '«queue.drop(tx, place)»', 'undefined'],
  ]),
  ...of(`${CORE}/delete/remaining.ts`, [
    ['drop: places that owe released bytes need no copy', '«shared.some(isCopy)»', 'true'],
  ]),
  ...of(`${CORE}/backends/release.ts`, [
    [
      'release: a copy on a backend that was removed counts',
      "«state === 'synced' && verified > now - FRESH_MS && isReliable(view, backend)»",
      "state === 'synced' && verified > now - FRESH_MS",
    ],
    [
      'release: bytes that are gone are counted as freed',
      '«staging.has(tx, id) ? index.facts(tx, id) : null»',
      'index.facts(tx, id)',
    ],
  ]),
  ...of(`${CORE}/backends/jobs.ts`, [
    ['retry: the place is not owed again', "«now && (owes(now) || now.state === 'deleting')»", 'false', RACES],
    ['retry: the job stays parked', '«queue.unpark(tx, job)»', 'undefined'],
  ]),
  ...of(`${CORE}/verify/record-damage.ts`, [
    [
      'verify: what was found is written down whatever the copy is by now',
      '«index.location(tx, location)?.rev !== location.rev»',
      'false',
      VERIFY_TESTS,
    ],
  ]),
  ...of(`${CORE}/verify/repair.ts`, [
    [
      'repair: a copy is owed again that is no longer bad',
      '«now?.id !== id || !isDoubtful(now) || !backends.isReliable(tx, now.backend)»',
      'now?.id !== id || !backends.isReliable(tx, now.backend)',
      REPAIR_TESTS,
    ],
    [
      'repair: a place is owed again that is another blob’s by now',
      '«now?.id !== id || !isDoubtful(now) || !backends.isReliable(tx, now.backend)»',
      '!now || !isDoubtful(now) || !backends.isReliable(tx, now.backend)',
      REPAIR_TESTS,
    ],
    [
      'repair: bytes are kept that no copy owes',
      "«!copies.some((copy) => copy.outcome === 'owed')»",
      'false',
      REPAIR_TESTS,
    ],
  ]),
  ...of('packages/core/src/model/copy.ts', [
    ['settle: the place is synced whatever it is by now', "«!isWanted(now, { op: 'put', id: job.id })»", 'false'],
    ['settle: a removal ends whatever is there by now', "«isWanted(now, { op: 'delete', id: job.id })»", 'true'],
  ]),
  ...of('packages/syncd/src/work/settle.ts', [
    ['settle: bytes leave that another place owes', "«!index.hasPlace(tx, { id, standing: 'owing' })»", 'true'],
    ['settle: bytes stay that no place owes', "«!index.hasPlace(tx, { id, standing: 'owing' })»", 'false'],
    ['settle: what nobody wanted any more is recorded as done', 'const isDone = «isWanted(now, job)»', 'true'],
    ['settle: bytes that a backend has are not marked', 'else if («isDone») staging.markReleasable', 'false', BOUNDED],
    [
      'park: the place is not looked at',
      'if («!isWanted(now, job) || queue.isOvertaken(tx, job)») {',
      '!now || queue.isOvertaken(tx, job)',
      SETTLE_TESTS,
    ],
    [
      'park: a newer job behind it is not looked for',
      'if («!isWanted(now, job) || queue.isOvertaken(tx, job)») {',
      '!isWanted(now, job)',
      SETTLE_TESTS,
    ],
    [
      'drop of a job: one that is wanted goes',
      '«isWanted(index.location(tx, job), job) && !queue.isOvertaken(tx, job)»',
      'false',
    ],
  ]),
  ...of(QUEUE, [
    [
      'enqueue: the job that waits is left as it is',
      'const place = { backend, key }\n    «this.#moves.dropWaiting(writer, place)»',
      'undefined',
    ],
    [
      'enqueue: the job that is parked stays',
      '«this.#moves.dropParked(writer, place)»\n    const isBehind',
      'undefined',
    ],
    [
      'enqueue: a job at work is not looked for',
      "const isBehind = «this.#rows.has(writer, 'running', place)»",
      'false',
    ],
    ['enqueue: a number is given twice', "«isBehind && has(writer, 'owed', owedKey(place, seq))»", 'false', PORTS],
    ['drop: a job at work is not looked for', "if («this.#rows.has(writer, 'running', place)») throw", 'false'],
    [
      'begun: a job at work is not looked for',
      "if («this.#rows.has(reader, 'running', place)») return true",
      'false',
      RACES,
    ],
    [
      'begun: earlier tries are not looked for',
      '«states.some((state) => this.#rows.get(reader, state, place)?.begun === true)»',
      'false',
    ],
    [
      'claim: a hint is believed',
      '«row && dueKey(place, row.due, row.seq).equals(rowKey)»',
      'row !== undefined',
      QUEUE_TESTS,
    ],
    [
      'claim: a place is claimed at which a job is at work',
      "«leadsTo(this.#rows.get(writer, 'waiting', place)) && !this.#rows.has(writer, 'running', place)»",
      "leadsTo(this.#rows.get(writer, 'waiting', place))",
    ],
    ['claim: a pause is not looked at in the plan', 'if («isPaused(writer, backend)») return { claimed', 'false'],
    [
      'claim: a row that leads nowhere stays',
      "«writer.remove('due', rowKey)»\n    return undefined",
      'undefined',
      QUEUE_TESTS,
    ],
    ['end of a job: a lease that was lost is not seen', '«row?.lease === job.lease»', 'true', PORTS],
    ['end of a job: a newer one behind it is not looked for', 'if («newer») this.#moves.fallDue', 'false'],
    [
      'resume: a job is moved that was claimed or replaced since',
      '«!row || !dueKey(place, row.due, row.seq).equals(rowKey)»',
      '!row',
    ],
  ]),
  ...of(MOVES, [
    ['park: the time of the next try stays when its job goes', '«row.rest !== undefined»', 'false', PORTS],
  ]),
  ...of(STAGING, [
    [
      'keep: bytes that are kept already stay beside the new ones',
      '«former && removeBytes(writer, id, former)»',
      'undefined',
    ],
    ['keep: bytes that are kept already count once more', '«former ? 0 : 1»', '1'],
    [
      'keep: bytes that are kept already are not replaced',
      '«former && this.#isSame(former, received, id, writer)»',
      'former',
      PORTS,
    ],
    ['keep: a file that was swept is kept', '«has(writer, sweptKey(file))»', 'false', STAGING_TESTS],
    ['sweep: a file that is kept goes', '«has(writer, fileKey(file))»', 'false', STAGING_TESTS],
    [
      'release: its mark stays',
      'const writer = writerOf(tx)\n    «this.#unmark(writer, id)»\n    const row',
      'undefined',
    ],
    ['mark: what is marked is marked again', '«this.#marks.ticket(key, writer) !== undefined»', 'false', PORTS],
  ]),
]
