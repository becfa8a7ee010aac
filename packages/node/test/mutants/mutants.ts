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
const DELETE_PLANS = 'packages/node/test/plans/delete.test.ts'
const RELEASE_PLANS = 'packages/node/test/plans/release.test.ts'
const MANY_KEYS = 'packages/node/test/plans/many-keys.test.ts'
const LEAVING = 'packages/node/test/leaving.test.ts'
const DAMAGED = 'packages/node/test/damaged-staging.test.ts'
const LAYOUTS = 'packages/node/test/layouts.test.ts'

type Guard = readonly [what: string, from: string, to: string, test?: string]

function of(file: string, guards: readonly Guard[]): Mutant[] {
  return guards.map(([what, from, to, test]) => ({ what, file, from, to, ...(test !== undefined && { test }) }))
}

/** The commit of a put, whose plan is given `rows`. */
function putBy(rows: string): string {
  return `transactWith(services, options.also, at, (tx, add) => {
      const outcome = planPut(${rows}, tx, input)
      add()
      return outcome
    })`
}

/** What plans read before they write, taken away one by one. */
export const MUTANTS: readonly Mutant[] = [
  ...of(`${CORE}/put/plan-put.ts`, [
    ['put: the former binding is not looked at', '«bound && bound.id !== id ? bound : null»', 'null'],
    ['put: ifAbsent is not judged in the plan', '«ifAbsent && bound»', 'false'],
    ['put: ifMatch is not judged in the plan', '«checkMatch(bound, ifMatch, at)»', 'undefined'],
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
    ['put: an object stays one key’s own when all share it', 'if («!shared || now.shared») return now', 'true'],
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
      '«{ ...known?.checksums, ...given.checksums }»',
      '{ ...given.checksums }',
      RACES,
    ],
    [
      'put: a key that a deletion has not come to keeps its copies',
      'if (row && !row.facts) «retire(rows, tx, row)»',
      'undefined',
      MANY_KEYS,
    ],
    ['leaving: a backend that is being removed gets a copy', '«backends.isReliable(tx, name)»', 'true', LEAVING],
  ]),
  ...of(`${CORE}/put/put.ts`, [
    [
      'put: the binding is that of before the plan',
      `«${putBy('services')}»`,
      `services.ledger.look((view) => services.index.binding(view, input.key)).then((early) => {
        const get = (target, name) => name === 'binding' ? () => early : target[name].bind(target)
        const index = new Proxy(services.index, { get })
        return ${putBy('{ ...services, index }')}
      })`,
    ],
    [
      'put: the locations are those of before the plan',
      `«${putBy('services')}»`,
      `services.ledger.look((view) => new Map(input.targets.map((one) => {
        const place = services.backends.placeOf(one, input.key, input.facts.id)
        return [place.backend, services.index.location(view, place)]
      }))).then((early) => {
        const location = (tx, place) => early.has(place.backend) ? early.get(place.backend) : services.index.location(tx, place)
        const get = (target, name) => name === 'location' ? location : target[name].bind(target)
        const index = new Proxy(services.index, { get })
        return ${putBy('{ ...services, index }')}
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
    [
      'delete: a key takes the copies of others along',
      '«[...objectsOf(rows, view, id, key), ...sharedByNoOther(rows, view, id, [bound])]»',
      'rows.index.live(view, id).items',
    ],
    [
      'delete: the last key takes its own copies along, and no others',
      '«leavingAll(rows, view, id, [key])»',
      '{ ...leavingAll(rows, view, id, [key]), places: objectsOf(rows, view, id, key) }',
    ],
    ['delete: a key is unbound whatever it is bound to by now', '«index.binding(tx, key)?.id === id»', 'true'],
    ['drop: who looked at all keys is not told', 'if (facts) «index.keep(tx, facts)»', 'undefined', MANY_KEYS],
    ['delete: what is beyond a page stays', 'if («isMore») index.beginDeletion', 'false', MANY_KEYS],
  ]),
  ...of(`${CORE}/delete/remaining.ts`, [
    ['drop: places that owe released bytes need no copy', '«shared.some(isCopy)»', 'true'],
    [
      'drop: what goes counts as left',
      '«isReliable(rows, view)(one) && !isDropped(one)»',
      'isReliable(rows, view)(one)',
      DELETE_PLANS,
    ],
    [
      'drop: a copy on a backend that was removed counts',
      "«one.state === 'synced' && backends.isReliable(view, one.backend)»",
      "one.state === 'synced'",
      DELETE_PLANS,
    ],
    [
      'drop: the copy of another key is enough for a place that owes',
      '«!one.shared && objectsOf(rows, view, id, one.key).some(isCopy)»',
      'true',
      DELETE_PLANS,
    ],
    [
      'drop: the object of one key is enough for a place of all keys',
      '«!one.shared && objectsOf(rows, view, id, one.key).some(isCopy)»',
      'objectsOf(rows, view, id, one.key).some(isCopy)',
      DELETE_PLANS,
    ],
    ['drop: a key loses its own copy', '«backing.length === 0 || !backing.every(isLost)»', 'true', DELETE_PLANS],
    ['drop: keys beyond a page are not looked at', 'if («keys.length > KEYS») return token', 'false', MANY_KEYS],
    [
      'drop: what was found of all keys holds whatever changed since',
      '«token === tokenOf(rows, view, id)»',
      'token !== undefined',
      MANY_KEYS,
    ],
  ]),
  ...of(`${CORE}/delete/drop.ts`, [
    [
      'drop: what would remain is not looked at',
      'if («places.length > 0 || services.index.shared(view, id).some((one) => isThere(one) && isCounted(one))»)',
      'false',
      DELETE_PLANS,
    ],
  ]),
  ...of(`${CORE}/delete/forget.ts`, [
    ['forget: a job at work is not looked for', '«queue.isRunning(view, at)»', 'false'],
    ['forget: the last copy goes', "«state === 'deleting'»", 'true'],
    [
      'forget: bytes leave that another place owes',
      "«owes(location) && !index.hasPlace(tx, { id, standing: 'owing' })»",
      'owes(location)',
    ],
    [
      'forget: bytes stay that no place owes',
      "«owes(location) && !index.hasPlace(tx, { id, standing: 'owing' })»",
      'false',
      DELETE_PLANS,
    ],
  ]),
  ...of(`${CORE}/delete/deletion.ts`, [
    [
      'deletion: a blob that lives again loses its places',
      '«keys.length === 0 && isGone»',
      'keys.length === 0',
      MANY_KEYS,
    ],
    [
      'deletion: it ends before its places are gone',
      '«keys.length === 0 && rest.next === null»',
      'keys.length === 0',
      MANY_KEYS,
    ],
    ['deletion: its mark stays', 'if (isLast) «index.endDeletion(tx, id)»', 'undefined', MANY_KEYS],
  ]),
  ...of(`${CORE}/backends/remove-backend.ts`, [
    ['leaving: two calls remove it at once', '«isLeaving(services, tx, name)»', 'false', LEAVING],
    [
      'leaving: what happened during the check is not seen',
      '«token !== null && index.tenure(tx, name).leaving?.token !== token»',
      'false',
      LEAVING,
    ],
    [
      'leaving: a forced removal lets a check count on what goes',
      '«takeMarksBack(services, tx)»',
      'undefined',
      LEAVING,
    ],
    [
      'leaving: the mark of another call is taken back',
      'if («isOurs(tx)») index.setLeaving(tx, name, null)',
      'true',
      LEAVING,
    ],
  ]),
  ...of(`${CORE}/backends/tenancy.ts`, [
    ['leaving: a mark whose time is over holds', "«!('now' in view) || view.now < leaving.until»", 'true', LEAVING],
    ['leaving: a copy is relied on that is about to go', '«!isLeaving(rows, view, name, tenure)»', 'true', LEAVING],
    [
      'leaving: what has the name by now passes for what was opened',
      '«generation !== undefined && tenure.generation === generation.value»',
      'true',
      LEAVING,
    ],
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
    [
      'release: bytes leave without a copy',
      '«owing.length > 0 && owing.every(isOutlived.place)»',
      'true',
      RELEASE_PLANS,
    ],
    [
      'release: a place that outlives the copy is not looked at',
      '«owing.length > 0 && owing.every(isOutlived.place)»',
      'owing.some(isOutlived.place)',
      RELEASE_PLANS,
    ],
    [
      'release: what was found of many places holds whatever changed since',
      '«version === index.version(tx, id)»',
      'true',
      MANY_KEYS,
    ],
  ]),
  ...of(`${CORE}/backends/jobs.ts`, [
    ['retry: the place is not owed again', "«now && (owes(now) || now.state === 'deleting')»", 'false', RACES],
    ['retry: the job stays parked', '«queue.unpark(tx, job)»', 'undefined'],
    [
      'retry: a job waits for a backend that is being removed',
      '«isLeaving({ index }, tx, job.backend)»',
      'false',
      LEAVING,
    ],
  ]),
  ...of(`${CORE}/verify/record-damage.ts`, [
    [
      'verify: what was found is written down whatever the copy is by now',
      '«index.location(tx, location)?.rev !== location.rev»',
      'false',
      VERIFY_TESTS,
    ],
    [
      'verify: a removal counts on a copy that is found damaged',
      '«takeMarksBack({ index }, tx)»',
      'undefined',
      LEAVING,
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
    [
      'settle: a copy at a backend that is gone counts',
      '«isCurrent(services, tx, job.backend, generation)»',
      'true',
      LEAVING,
    ],
    [
      'settle: who removes the backend does not hear of the copy',
      "«job.op === 'put' && index.tenure(tx, job.backend).leaving»",
      'false',
      LEAVING,
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
    [
      'park: the time of the next try stays when its job goes',
      "if («row.rest !== undefined») writer.remove('due'",
      'false',
      PORTS,
    ],
  ]),
  ...of(STAGING, [
    [
      'keep: bytes that are kept already stay beside the new ones',
      '«former && removeBytes(writer, former)»',
      'undefined',
      STAGING_TESTS,
    ],
    ['keep: bytes that are kept already count once more', '«former ? 0 : 1»', '1'],
    [
      'keep: bytes that are kept already are not replaced',
      '«former && this.#isSame(former, received, writer)»',
      'former',
      DAMAGED,
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
