import type { View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { AccessMode } from '@stored/core/files'
import { decodeRow, encodeRow, type Row, readerOf, rowTicket, type TreeLedger, writerOf } from '@stored/ledger'
import type { Doorbell } from './doorbell.ts'
import { Link } from './link.ts'
import { type Address, type Candidate, Sockets } from './sockets.ts'

const KEY = Buffer.from('syncer')
const FIRST_WAIT_MS = 1000
const MAX_WAIT_MS = 60_000
/** How often a process that may not lead checks whether another one does. */
const LOOK_MS = 1000

/** Names the leader; its number is the fencing number. Without an address if the store has only one process. */
type LeaderRow = Row<Partial<Address>>

/** The number of the most recent leader, dead or alive. */
export function leaderOf(view: View): number | undefined {
  const number = numberIn(view)
  return number === undefined ? undefined : Number(number)
}

export interface LeadershipOptions {
  ledger: TreeLedger
  /**
   * The store's directory, which contains the sockets. Absent: a store with one process, which leads at once and rings
   * nobody.
   */
  directory?: string | undefined
  /** Who may use the store, and so its sockets. @default 0o700 */
  mode?: AccessMode | undefined
  /** `false`: never leads, only rings and listens. */
  lead: boolean
  /** Called for errors in the background. The process stays a follower and tries again. */
  onError(error: unknown): void
}

/*
 * Elects the process that syncs a store among those that have it open, and tells each of what the others commit.
 *
 *              ┌──────────── connected ───────────▶ FOLLOWER ───┐
 *   open() ─▶ SEEK ◀──── the connection is lost, or silent ─────┘
 *              │  ▲
 *        dead, │  └──── outvoted: the row changed ◀── CANDIDATE
 *     may lead └──────────────────────────────────────────────▶ listens, then commits its row ──▶ LEADER ── stepDown() ─▶ SEEK
 *
 * (1) The row `syncer` names the leader's socket, and is committed only once that socket listens, under a guard that the row is
 *     as it was read. So a row always names a socket that listened, and of several candidates one wins.
 * (2) A socket that refuses is dead for good, since names are random: a process that may lead becomes a candidate. No pid is used, so
 *     this works across PID namespaces, and the end of a process, however it ends, is heard at once by all who are connected.
 * (3) The number of the row is the ticket of its transaction. Plans that only the leader may run read it: a leader that was stopped,
 *     and has been replaced, fails its next commit. Being taken for dead by mistake is therefore safe.
 * (4) Nothing is missed: a ring that could not be delivered is owed, and paid to the next leader; a connection made or lost counts
 *     as a ring, and so does a leader that is found dead; and who becomes leader counts as rung, and looks at the whole queue.
 * (5) No timer runs but while a ring waits for its acknowledgement, after a failure, or where nobody leads and one may not:
 *     the next leader does not know of it.
 *
 * A leader that is stopped is found out by the next commit of a process that may lead. Until then the store does not sync, as a
 * store of one stopped process does not.
 */
export class Leadership {
  readonly #ledger: TreeLedger
  readonly #sockets: Sockets | null
  readonly #mayLead: boolean
  readonly #onError: (error: unknown) => void
  readonly #ringListeners = new Set<() => void>()
  readonly #changeListeners = new Set<(leads: boolean) => void>()
  /** Set while we lead. */
  #number: bigint | null = null
  #doorbell: Doorbell | null = null
  /** To the leader, while we follow. */
  #link: Link | null = null
  #seeking: Promise<void> | null = null
  #sweeping: Promise<void> = Promise.resolve()
  #retry: NodeJS.Timeout | undefined
  #look: NodeJS.Timeout | undefined
  #waitMs = FIRST_WAIT_MS
  /** Rings so far that reached nobody. */
  #undelivered = 0
  /** The last leader found dead: its socket is not tried again. */
  #dead: bigint | null = null
  /** The leader whose connection was lost last. */
  #lost: bigint | null = null
  /** Whether a leader that hung up will be asked again in a moment: it is alive, or this process is a candidate. */
  #isAskedAgain = false
  #closed: Promise<void> | undefined

  /** @throws {StorageError} CORRUPT, INCOMPATIBLE: the row that names the leader cannot be read. */
  static async open(o: LeadershipOptions): Promise<Leadership> {
    const sockets = o.directory === undefined ? null : await Sockets.open(o.directory, o.mode && { mode: o.mode })
    const leadership = new Leadership(o, sockets)
    try {
      await leadership.#read()
    } catch (error) {
      await leadership.close()
      throw error
    }
    await leadership.#seek()
    return leadership
  }

  private constructor({ ledger, lead, onError }: LeadershipOptions, sockets: Sockets | null) {
    this.#ledger = ledger
    this.#sockets = sockets
    this.#mayLead = lead
    this.#onError = onError
  }

  /** Whether this process syncs. */
  get leads(): boolean {
    return this.#number !== null
  }

  /**
   * Whether any process syncs: this one, one it is connected to, or whichever of the two it turns out to be in a
   * moment.
   */
  get attended(): boolean {
    return this.#hasPlace || (this.#mayLead && (this.#seeking !== null || this.#isAskedAgain))
  }

  get #hasPlace(): boolean {
    return this.leads || this.#link !== null
  }

  /**
   * A check for plans that only the leader may run: throws CONFLICT if this process did not lead when the check was
   * made, or no longer does.
   */
  fence(): (view: View) => void {
    const number = this.#number
    return (view) => {
      if (number !== null && numberIn(view) === number) return
      throw new StorageError('CONFLICT', { op: 'commit' }, { detail: 'another process leads' })
    }
  }

  /** Tells the other processes about a commit. Cheap, and never throws. */
  ring(): void {
    if (this.#closed) return
    if (this.leads) this.#doorbell?.ring()
    else if (this.#link) this.#link.ring()
    else this.#owe()
  }

  /** Calls `listener` when another process has committed something, or may have. @returns Stops it. */
  onRing(listener: () => void): () => void {
    this.#ringListeners.add(listener)
    return () => void this.#ringListeners.delete(listener)
  }

  /** Calls `listener` when this process becomes the leader, or stops being it. @returns Stops it. */
  onChange(listener: (leads: boolean) => void): () => void {
    this.#changeListeners.add(listener)
    return () => void this.#changeListeners.delete(listener)
  }

  /**
   * Call it after a fenced plan was refused: follows the current leader. Does nothing while that is still this process.
   */
  async stepDown(): Promise<void> {
    const number = this.#number
    if (number === null || (await this.#isNamed(number)) || this.#number !== number) return
    const doorbell = this.#doorbell
    this.#number = null
    this.#doorbell = null
    this.#tellChange(false)
    await doorbell?.close()
    await this.#seek()
  }

  /** Hands over to one of the others, at once. Fenced plans are refused from now on. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    clearTimeout(this.#retry)
    clearTimeout(this.#look)
    this.#number = null
    this.#isAskedAgain = false
    this.#link?.end()
    this.#link = null
    await this.#seeking
    await this.#doorbell?.close()
    await this.#sweeping
    await this.#sockets?.close()
  }

  #owe(): void {
    this.#undelivered++
    if (!this.#retry) void this.#seek()
  }

  /** Finds its role, unless that is in progress. @param silent The number of a leader that does not answer. */
  #seek(silent?: bigint): Promise<void> {
    clearTimeout(this.#retry)
    clearTimeout(this.#look)
    this.#retry = undefined
    this.#isAskedAgain = false
    this.#seeking ??= this.#settle(silent)
      .catch((error) => this.#failed(error))
      .finally(() => {
        this.#seeking = null
      })
    return this.#seeking
  }

  async #settle(silent?: bigint): Promise<void> {
    while (!this.#closed && !this.#hasPlace) {
      const undelivered = this.#undelivered
      const row = await this.#read()
      if (row && row.ticket !== silent && (await this.#follow(row))) return
      if (this.#closed) return
      if (this.#mayLead) await this.#stand(row)
      // Rings in the meantime may have come after another process became leader.
      else if (undelivered === this.#undelivered) return this.#lookLater(silent)
    }
  }

  /** @returns `false`: the leader is dead. */
  async #follow({ ticket: number, value }: LeaderRow): Promise<boolean> {
    if (!isAddress(value) || number === this.#dead) return false
    const socket = await this.#sockets?.connect(value)
    if (!socket) {
      this.#dead = number
      this.#tellRing() // It may have led, and committed something, between our two looks.
      return false
    }
    const link = new Link(socket, {
      onRing: () => this.#tellRing(),
      onEnd: () => this.#leave(number),
      onSilence: () => this.#giveUp(number),
    })
    if (this.#closed) link.end()
    else this.#join(link)
    return true
  }

  #join(link: Link): void {
    this.#link = link
    this.#waitMs = FIRST_WAIT_MS
    if (this.#undelivered > 0) link.ring()
    this.#undelivered = 0
  }

  #leave(number: bigint): void {
    this.#link = null
    this.#undelivered++
    const before = this.#lost
    this.#lost = number
    // Lost twice and yet alive, it cannot keep our connection now, and would be asked over and over.
    this.#isAskedAgain = number === before
    if (this.#isAskedAgain) this.#seekLater()
    else void this.#seek()
  }

  #giveUp(number: bigint): void {
    this.#link?.end()
    this.#link = null
    this.#undelivered++
    void this.#seek(number)
  }

  /** Stands as a candidate. Also returns if another process won. */
  async #stand(row: LeaderRow | undefined): Promise<void> {
    const candidate = await this.#sockets?.listen(() => this.#heard())
    const address = candidate?.address ?? {}
    try {
      const number = await this.#commit(row, address)
      if (number !== null && !this.#closed) return this.#takeOffice(number, candidate, row?.value)
    } catch (error) {
      await candidate?.doorbell.close()
      throw error
    }
    await candidate?.doorbell.close()
  }

  /** @returns The number, or `null`: the row has changed. */
  async #commit(row: LeaderRow | undefined, address: Partial<Address>): Promise<bigint | null> {
    try {
      const { value: number } = await this.#ledger.transact((tx) => {
        if (numberIn(tx) !== row?.ticket) return null
        writerOf(tx).put('meta', KEY, encodeRow(address, tx.ticket))
        return tx.ticket
      })
      // A process that replaced us before we heard of it found no leader to tell.
      return number !== null && (await this.#read())?.ticket === number ? number : null
    } catch (error) {
      // Its outcome may be unknown; a name that is used only once tells.
      const now = await this.#read()
      if (address.socket !== undefined && now?.value.socket === address.socket) return now.ticket
      throw error
    }
  }

  #takeOffice(number: bigint, candidate?: Candidate, former?: Partial<Address>): void {
    this.#number = number
    this.#doorbell = candidate?.doorbell ?? null
    this.#undelivered = 0
    this.#waitMs = FIRST_WAIT_MS
    this.#sweeping = this.#sweep(candidate?.address, former)
    this.#tellChange(true)
    // The former leader may have committed something and ended before it rang.
    this.#tellRing()
  }

  async #sweep(own: Address | undefined, former: Partial<Address> = {}): Promise<void> {
    try {
      await this.#sockets?.sweep(own, isAddress(former) ? former : undefined)
    } catch (error) {
      this.#onError(error)
    }
  }

  #heard(): void {
    if (this.#closed) return
    this.#tellRing()
    // A follower that rings or hangs up may have taken over.
    void this.stepDown().catch((error) => this.#failed(error))
  }

  #failed(error: unknown): void {
    if (this.#closed) return
    this.#onError(error)
    this.#seekLater()
  }

  #seekLater(): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => void this.#seek(), this.#waitMs).unref()
    this.#waitMs = Math.min(2 * this.#waitMs, MAX_WAIT_MS)
  }

  /**
   * A silent leader is left alone for long, unless there is something to ring for: it keeps each connection that is
   * made.
   */
  #lookLater(silent: bigint | undefined): void {
    this.#look = setTimeout(() => void this.#seek(), silent === undefined ? LOOK_MS : MAX_WAIT_MS).unref()
  }

  #isNamed(number: bigint): Promise<boolean> {
    return this.#ledger.look((view) => numberIn(view) === number)
  }

  #read(): Promise<LeaderRow | undefined> {
    return this.#ledger.look((view) => readerOf(view).get('meta', KEY, decodeRow<Partial<Address>>))
  }

  #tellRing(): void {
    for (const listener of this.#ringListeners) this.#call(listener)
  }

  #tellChange(leads: boolean): void {
    for (const listener of this.#changeListeners) this.#call(() => listener(leads))
  }

  #call(listener: () => void): void {
    try {
      listener()
    } catch (error) {
      this.#onError(error)
    }
  }
}

function numberIn(view: View): bigint | undefined {
  return readerOf(view).get('meta', KEY, rowTicket)
}

function isAddress(value: Partial<Address>): value is Address {
  return value.socket !== undefined
}
