import { readFile } from 'node:fs/promises'
import { MemoryBackend, type PutOptions, type Stat } from '@stored/core/backend'
import type { Mutant } from './mutant.ts'
import { once } from './subject.ts'

/** Takes the bytes from the file if it can, once the body has proved them. */
class UsesFile extends MemoryBackend {
  override readonly capabilities = { ...new MemoryBackend().capabilities, usesFile: true } as never

  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { file, ...rest } = options
    const bytes = file === undefined ? null : await this.take(file)
    if (bytes === null) return super.put(key, body, rest)
    await this.prove(body)
    return super.put(key, once(bytes), rest)
  }

  protected take(file: string): Promise<Uint8Array | null> {
    return readFile(file).catch(() => null)
  }

  protected async prove(body: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const _ of body);
  }
}

class TrustsFile extends UsesFile {
  protected override async prove(): Promise<void> {}
}

class PublishesBeforeProof extends UsesFile {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { file, ...rest } = options
    const bytes = file === undefined ? null : await this.take(file)
    if (bytes === null) return super.put(key, body, rest)
    const stat = await super.put(key, once(bytes), rest)
    await this.prove(body)
    return stat
  }
}

class NeedsFile extends UsesFile {
  protected override take(file: string): Promise<Uint8Array> {
    return readFile(file)
  }
}

function of(name: string, fault: string, driver: new () => UsesFile): Mutant {
  return { name, fault, killedBy: ['src.file'], open: (place) => new (driver as typeof UsesFile)({ place }) }
}

export const fileMutants: readonly Mutant[] = [
  of('trusts-file', 'a file that is cloned is not verified', TrustsFile),
  of('publishes-before-proof', 'a clone gets its name before its bytes were verified', PublishesBeforeProof),
  of('needs-file', 'a put fails with the file that it could have done without', NeedsFile),
]
