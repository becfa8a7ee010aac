import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { BlobId, Opened, Staged, Staging, Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { afterwards, makeDirectory, Table, type TreeLedger, write } from '@stored/lmdb'
import { SharedSync } from './shared-sync.ts'
import { readFileBody, writeFileBody } from './staged-file.ts'

/** Up to this size bytes are part of the commit; above it they are a file. At 256 KiB both cost the same (measured). */
const INLINE_MAX = 64 * 1024

export interface DurableStagingOptions {
  ledger: TreeLedger
  /** Directory of the files; made when missing. */
  path: string
  /** In bytes. @default 65,536 */
  inlineMax?: number
}

/** Where the bytes of a blob are: in the tree `bytes`, at the commit that brought them, or in a file. */
type Row = { readonly size: number; readonly commit: number } | { readonly size: number; readonly file: string }

interface Received extends Staged {
  /** Set inside the commit that keeps it: from then on only a row decides over it. */
  kept: boolean
  readonly bytes?: Buffer
  readonly file?: string
}

/**
 * Bytes owed to a backend, as tables of a ledger and files beside it:
 *
 * - tree `blobs`, by id: `S` where the blob's bytes are
 * - tree `bytes`: commit + id → the bytes of a small blob, appended · `F` + name of a file → nothing, so that a file without
 *   such a row is known to be debris
 */
export class DurableStaging implements Staging {
  readonly ledger: TreeLedger
  readonly #directory: string
  readonly #inlineMax: number
  readonly #rows: Table<Row>
  readonly #names: SharedSync
  readonly #receiving = new Set<string>()
  #sweeping: Promise<number> = Promise.resolve(0)
  #closed = false

  static async open({
    ledger,
    path: directory,
    inlineMax = INLINE_MAX,
  }: DurableStagingOptions): Promise<DurableStaging> {
    await makeDirectory(directory, { op: 'open' })
    const staging = new DurableStaging(ledger, directory, inlineMax)
    // In the background: a large directory must not delay the first put.
    staging.#sweeping = staging.sweep()
    staging.#sweeping.catch(() => {}) // Reported by close().
    return staging
  }

  private constructor(ledger: TreeLedger, directory: string, inlineMax: number) {
    this.ledger = ledger
    this.#directory = directory
    this.#inlineMax = inlineMax
    this.#rows = new Table(ledger, 'blobs', 'S')
    this.#names = new SharedSync(directory)
  }

  async receive(source: AsyncIterable<Uint8Array>, o: { signal: AbortSignal }): Promise<Received> {
    const head: Buffer[] = []
    let size = 0
    const iterator = source[Symbol.asyncIterator]()
    while (true) {
      const next = await iterator.next()
      if (next.done) {
        this.ledger.requireSpace(size)
        return this.#inline(head, size)
      }
      // A copy: the source may use its buffer again.
      head.push(Buffer.from(next.value))
      size += next.value.length
      if (size > this.#inlineMax) return this.#toFile(head, iterator, o.signal)
    }
  }

  keep(tx: Transaction, id: BlobId, staged: Staged): void {
    const { bytes, file, size } = staged as Received
    const rowKey = this.#rowKey(id)
    write(tx, (writer) => {
      // Two puts of the same new bytes: the first commit keeps its copy, the second discards its own.
      const former = this.#rows.get(rowKey, writer)?.value
      if (former && !this.#isLost(former)) return
      if (former && 'file' in former) writer.remove('bytes', fileKey(former.file))
      ;(staged as Received).kept = true
      if (bytes) writer.put('bytes', bytesKey(writer.seq, id), bytes)
      else writer.put('bytes', fileKey(file as string), NOTHING)
      this.#rows.putNow(writer, rowKey, bytes ? { size, commit: writer.seq } : { size, file: file as string })
    })
  }

  release(tx: Transaction, id: BlobId): void {
    const rowKey = this.#rowKey(id)
    let file: string | undefined
    write(tx, (writer) => {
      const row = this.#rows.get(rowKey, writer)?.value
      if (!row) return
      writer.remove('blobs', rowKey)
      if ('commit' in row) writer.remove('bytes', bytesKey(row.commit, id))
      else {
        writer.remove('bytes', fileKey(row.file))
        file = row.file
      }
    })
    afterwards(tx, () => {
      if (file !== undefined) void this.#discard(file)
    })
  }

  async has(id: BlobId): Promise<boolean> {
    return this.#rows.seq(this.#rowKey(id)) !== undefined
  }

  async open(id: BlobId, o: { signal: AbortSignal; offset?: number; length?: number }): Promise<Opened | null> {
    while (true) {
      const found = this.#rows.get(this.#rowKey(id))
      if (!found) return null
      const row = found.value
      const offset = Math.min(o.offset ?? 0, row.size)
      const end = Math.min(offset + (o.length ?? row.size), row.size)
      if ('commit' in row) {
        const bytes = this.ledger.get('bytes', bytesKey(row.commit, id), (value) =>
          Buffer.from(value.subarray(offset, end)),
        )
        if (bytes) return { size: row.size, body: once(bytes), [Symbol.asyncDispose]: async () => {} }
      } else {
        const file = path.join(this.#directory, row.file)
        const opened = await readFileBody(file, { offset, end, signal: o.signal })
        if (opened) return { size: row.size, ...opened }
      }
      // Released between the two reads: look again. A row that is still the same lost its bytes.
      if (this.#rows.seq(this.#rowKey(id)) === found.seq) throw lost(id)
    }
  }

  /** Removes files that no commit named and no living process is writing. @returns How many. */
  async sweep(): Promise<number> {
    let count = 0
    for (const name of await readdir(this.#directory)) {
      if (this.#closed) break
      if (this.#receiving.has(name) || !ownerIsGone(name) || this.#isKept(name)) continue
      if (await this.#discard(name)) count++
    }
    return count
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#sweeping
  }

  #inline(chunks: readonly Buffer[], size: number): Received {
    const [first] = chunks
    const bytes = first && chunks.length === 1 ? first : Buffer.concat(chunks, size)
    return { size, bytes, kept: false, [Symbol.asyncDispose]: async () => {} }
  }

  async #toFile(head: Uint8Array[], rest: AsyncIterator<Uint8Array>, signal: AbortSignal): Promise<Received> {
    const file = `${process.pid}-${randomUUID()}`
    this.#receiving.add(file)
    try {
      const require = (bytes: number) => this.ledger.requireSpace(bytes)
      const size = await writeFileBody(path.join(this.#directory, file), prepend(head, rest), { require, signal })
      // The name must survive a power cut as well: without it the file may come back under no name at all.
      await this.#names.run()
      return this.#received(file, size)
    } catch (error) {
      // Ended here, too: a generator over the source that never began has no `finally`. What ending it throws says less than `error`.
      await Promise.allSettled([rest.return?.(), this.#discard(file)])
      throw error
    }
  }

  #received(file: string, size: number): Received {
    const received: Received = {
      size,
      file,
      kept: false,
      [Symbol.asyncDispose]: async () => {
        this.#receiving.delete(file)
        if (!received.kept) await this.#discard(file)
      },
    }
    return received
  }

  async #discard(file: string): Promise<boolean> {
    this.#receiving.delete(file)
    try {
      await unlink(path.join(this.#directory, file))
      return true
    } catch {
      // Gone already, or left as debris for the next sweep: nothing names it.
      return false
    }
  }

  /** Bytes that are gone from the disk are replaced by those at hand. */
  #isLost(row: Row): boolean {
    return 'file' in row && !existsSync(path.join(this.#directory, row.file))
  }

  #isKept(file: string): boolean {
    return this.ledger.get('bytes', fileKey(file), () => true) ?? false
  }

  #rowKey(id: BlobId): Buffer {
    return this.#rows.key(Buffer.from(id.slice('sha256:'.length), 'hex'))
  }
}

const NOTHING = Buffer.alloc(0)

/** In the order of commits: small blobs are appended, whatever their ids. */
function bytesKey(commit: number, id: BlobId): Buffer {
  const key = Buffer.allocUnsafe(6 + 32)
  key.writeUIntBE(commit, 0, 6)
  key.write(id.slice('sha256:'.length), 6, 'hex')
  return key
}

/** Sorts after all commits. */
function fileKey(file: string): Buffer {
  return Buffer.from(`F${file}`)
}

function lost(id: BlobId): StorageError {
  return new StorageError('CORRUPT', { op: 'get', key: id }, { detail: 'its staged bytes are gone' })
}

/** Whether the process that wrote a file is gone. This process' own are known by `#receiving`. */
function ownerIsGone(file: string): boolean {
  const pid = Number(/^(\d+)-/.exec(file)?.[1])
  if (!Number.isSafeInteger(pid)) return false
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

async function* prepend(head: Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* head.splice(0)
  yield* { [Symbol.asyncIterator]: () => rest }
}
