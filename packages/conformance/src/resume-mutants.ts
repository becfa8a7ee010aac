import { MemoryBackend, type MemoryPlace, type PutOptions, type Stat } from '@stored/core/backend'
import type { Mutant } from './mutant.ts'

/** Takes what arrived for the beginning of the body, whatever it is. */
class GoesOnBlindly extends MemoryBackend {
  protected override async *keeping(
    ...[key, body, options, checkpoint]: Parameters<MemoryBackend['keeping']>
  ): AsyncGenerator<Uint8Array, void, void> {
    const arrived = Buffer.concat(this.place.arrived.get(checkpoint)?.chunks ?? [])
    let passed = 0
    for await (const chunk of super.keeping(key, body, options, checkpoint)) {
      const before = arrived.subarray(passed, passed + chunk.byteLength)
      passed += chunk.byteLength
      yield before.byteLength === chunk.byteLength ? before : chunk
    }
  }
}

/** The same, from any checkpoint. */
class TakesAnyCheckpoint extends GoesOnBlindly {
  protected override goesOnFrom(_: string, { checkpoint = '' }: PutOptions): string | null {
    return this.place.arrived.has(checkpoint) ? checkpoint : null
  }
}

class RefusesStale extends MemoryBackend {
  protected override goesOnFrom(key: string, options: PutOptions): string | null {
    const found = super.goesOnFrom(key, options)
    if (options.checkpoint !== undefined && found === null) throw this.error('NOT_FOUND', 'put', key)
    return found
  }
}

class GivesNoCheckpoint extends MemoryBackend {
  override put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { onCheckpoint: _, ...rest } = options
    return super.put(key, body, rest)
  }
}

class KeepsOnUnkept extends MemoryBackend {
  override put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { onCheckpoint } = options
    if (onCheckpoint === undefined) return super.put(key, body, options)
    return super.put(key, body, { ...options, onCheckpoint: (checkpoint) => onCheckpoint(checkpoint).catch(() => {}) })
  }
}

class ForgetsConditionGoingOn extends MemoryBackend {
  override put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { ifAbsent: _, ...rest } = options
    return super.put(key, body, options.checkpoint === undefined ? options : rest)
  }
}

class LeavesArrived extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { checkpoint: _, ...rest } = options
    return super.put(key, body, rest)
  }
}

/** Puts that resume from a checkpoint. */
export const resumeMutants: readonly Mutant[] = [
  of('goes-on-blindly', 'what arrived is not compared with the body', GoesOnBlindly, ['rs.wrong-bytes']),
  of('takes-any-checkpoint', 'a checkpoint counts for any blob and key', TakesAnyCheckpoint, ['rs.other-bytes']),
  of('refuses-stale', 'a checkpoint that means nothing is an error', RefusesStale, ['rs.stale']),
  of('gives-no-checkpoint', 'resume is declared, and no checkpoint given', GivesNoCheckpoint, ['rs.goes-on']),
  of('keeps-on-unkept', 'a checkpoint that could not be saved is ignored', KeepsOnUnkept, ['rs.unkept']),
  of('forgets-condition-going-on', 'a put that resumes has lost its ifAbsent', ForgetsConditionGoingOn, ['rs.taken']),
  {
    ...of('leaves-arrived', 'a put starts over, and what arrived stays', LeavesArrived, ['rs.goes-on']),
    hooks: ({ arrived }) => ({ debris: async () => [...arrived.keys()] }),
  },
]

function of(
  name: string,
  fault: string,
  Backend: new (options: { place: MemoryPlace }) => MemoryBackend,
  killedBy: readonly string[],
): Mutant {
  return { name, fault, killedBy, open: (place) => new Backend({ place }) }
}
