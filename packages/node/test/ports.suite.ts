import { beforeEach, describe } from 'vitest'
import { durableSuite } from './ports/durable.suite.ts'
import { indexSuite } from './ports/index.suite.ts'
import { queueProperties } from './ports/queue.property.ts'
import { queueSuite } from './ports/queue.suite.ts'
import { stagingSuite } from './ports/staging.suite.ts'
import type { Ports, Subject } from './ports/subject.ts'

/** What ledger, index, queue and staging promise core, together: whoever implements them runs this. */
export function portsSuite(ports: Ports): void {
  describe(ports.name, () => {
    let subject: Subject
    beforeEach(async () => {
      subject = await ports.open()
      return () => subject.close()
    })
    const current = () => subject

    describe('Index', () => indexSuite(current))
    describe('Queue', () => queueSuite(current))
    describe('Staging', () => stagingSuite(current))
  })
  describe(ports.name, () => {
    queueProperties(ports)
    if (ports.durable) durableSuite({ ...ports, reopen: ports.reopen ?? noReopen })
  })
}

function noReopen(): never {
  throw new Error('what is durable can be reopened')
}
