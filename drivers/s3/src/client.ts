import { Agent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import {
  type $Command,
  type PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  type S3ClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-s3'
import type { Credential, ErrorLocation } from '@stored/core/backend'
import { toS3Error } from './errors.ts'
import { presetOf } from './flavors.ts'
import { credentialOf, type Identity } from './identity.ts'
import type { Settings } from './options.ts'

/** How long a connection that nobody uses is kept: shorter than services keep it, so that no request meets its end. */
const IDLE_MS = 4_000
const CONNECT_MS = 10_000

export type S3Command<I extends ServiceInputTypes, O extends ServiceOutputTypes> = $Command<
  I,
  O,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes
>

/** What a request belongs to. */
export interface Call {
  readonly at: ErrorLocation
  readonly signal: AbortSignal
  /** It changes what readers see: when it fails without an answer, nobody knows whether it did. */
  readonly isWrite?: boolean
}

/** Sends requests to one service, signed with the credentials that are good at the time. */
export class Client {
  readonly bucket: string
  readonly #config: S3ClientConfig
  readonly #credential: Credential<Identity | undefined>
  readonly #agents: readonly (Agent | SecureAgent)[]
  #client: { readonly s3: S3Client; readonly identity: Identity | undefined } | undefined

  /** @param connections How many idle ones are kept. */
  constructor(settings: Settings, connections: number) {
    const { bucket, endpoint, accessKeyId, secretAccessKey, sessionToken, credentials } = settings
    const preset = presetOf(settings.flavor)
    const { region = preset.region, forcePathStyle = preset.forcePathStyle } = settings
    this.bucket = bucket
    // Without a bound of its own: operations are bounded, and bodies that wait for their reader must not stop others.
    const agent = { keepAlive: true, maxFreeSockets: connections, timeout: IDLE_MS, scheduling: 'lifo' } as const
    const [httpAgent, httpsAgent] = [new Agent(agent), new SecureAgent(agent)]
    this.#agents = [httpAgent, httpsAgent]
    this.#credential = credentialOf(
      accessKeyId === undefined || secretAccessKey === undefined
        ? credentials
        : { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
    )
    this.#config = {
      ...(endpoint !== undefined && { endpoint }),
      ...(region !== undefined && { region }),
      forcePathStyle,
      // Whoever calls knows whether to try again.
      maxAttempts: 1,
      followRegionRedirects: false,
      // Payloads are signed, and so checked by the service; more than that some services refuse.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // It costs a round trip for each part, and a connection.
      expectContinueHeader: false,
      requestHandler: { httpAgent, httpsAgent, connectionTimeout: CONNECT_MS, socketTimeout: 0 },
    }
  }

  /** @throws {StorageError} */
  send<I extends ServiceInputTypes, O extends ServiceOutputTypes>(command: S3Command<I, O>, call: Call): Promise<O> {
    return this.use(async (s3) => {
      try {
        return await s3.send(command, { abortSignal: call.signal })
      } catch (error) {
        if (!isSkewed(error)) throw error
        // The SDK took the time from the answer.
        return await s3.send(command, { abortSignal: call.signal })
      }
    }, call)
  }

  /** Calls with a client whose credentials are good, and again with new ones when they are refused. */
  use<R>(work: (s3: S3Client) => Promise<R>, { at, signal, isWrite = false }: Call): Promise<R> {
    const attempt = async (identity: Identity | undefined): Promise<R> => {
      try {
        signal.throwIfAborted()
        return await work(this.#with(identity))
      } catch (error) {
        throw toS3Error(error, at, signal, isWrite)
      }
    }
    return this.#credential.use(attempt, { again: () => !signal.aborted })
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy()
  }

  #with(identity: Identity | undefined): S3Client {
    if (this.#client === undefined || this.#client.identity !== identity) {
      // The SDK writes into the object that it is given.
      const credentials = identity && { credentials: { ...identity } }
      this.#client = { identity, s3: new S3Client({ ...this.#config, ...credentials }) }
    }
    return this.#client.s3
  }
}

function isSkewed(error: unknown): boolean {
  const { name, $metadata } = error as { name?: unknown; $metadata?: { clockSkewCorrected?: boolean } }
  return (name === 'RequestTimeTooSkewed' || name === 'RequestExpired') && $metadata?.clockSkewCorrected === true
}

/** Lets `command` be signed with a digest of its body that is known, so that nobody computes it again. */
export function signedWith(command: PutObjectCommand, sha256: string | undefined): PutObjectCommand {
  if (sha256 !== undefined)
    command.middlewareStack.add(
      (next) => (args) => {
        const { headers } = args.request as { headers: Record<string, string> }
        headers['x-amz-content-sha256'] = sha256
        return next(args)
      },
      { step: 'build', name: 'knownPayloadHash' },
    )
  return command
}
