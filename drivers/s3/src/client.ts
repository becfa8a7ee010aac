import { Agent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import {
  type $Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  type S3ClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-s3'
import { type Credential, type ErrorLocation, keepSecret } from '@stored/core/backend'
import { Answers } from './answers.ts'
import { boundAnswers } from './bounded.ts'
import { isSkewed, signingTime, takeTimeOf } from './clock.ts'
import { toS3Error } from './errors.ts'
import { presetOf } from './flavors.ts'
import { credentialOf, type Identity, secretOf } from './identity.ts'
import type { Settings } from './options.ts'
import { Route, type SmallPut } from './route.ts'
import { PIECE_BYTES, reporting } from './sent.ts'

/** How long an idle connection is kept: shorter than services keep it, so that no request meets its end. */
const IDLE_MS = 4_000
const CONNECT_MS = 10_000

export type S3Command<I extends ServiceInputTypes, O extends ServiceOutputTypes> = $Command<
  I,
  O,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes
>

/** The operation of a request. */
export interface Call {
  readonly at: ErrorLocation
  readonly signal: AbortSignal
  /** It changes what readers see: if it fails without a response, its effect is unknown. */
  readonly isWrite?: boolean
}

/** Sends requests to one service, signed with the current credentials. */
export class Client {
  readonly bucket: string
  readonly #config: S3ClientConfig
  readonly #connections: number
  readonly #credential: Credential<Identity | undefined>
  readonly #answers = new Answers()
  #agents: readonly [Agent, SecureAgent]
  #client: { readonly s3: S3Client; readonly identity: Identity | undefined } | undefined
  /** The latest credentials that the SDK found. */
  #found: Identity | undefined
  #route: { readonly s3: S3Client; readonly found: Promise<Route | null> } | undefined

  /** @param connections Maximum number of idle ones that are kept. */
  constructor(settings: Settings, connections: number) {
    const { bucket, endpoint, accessKeyId, secretAccessKey, sessionToken, credentials } = settings
    const preset = presetOf(settings.flavor)
    const { region = preset.region, forcePathStyle = preset.forcePathStyle } = settings
    this.bucket = bucket
    this.#connections = connections
    this.#agents = agentsOf(connections)
    this.#credential = credentialOf(
      accessKeyId === undefined || secretAccessKey === undefined
        ? credentials
        : { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
    )
    this.#config = {
      ...(endpoint !== undefined && { endpoint }),
      ...(region !== undefined && { region }),
      forcePathStyle,
      // The caller decides about retries.
      maxAttempts: 1,
      followRegionRedirects: false,
      // Payloads are signed, so the service verifies them; some services refuse further checksums.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      // It costs a round trip for each part, and a connection.
      expectContinueHeader: false,
    }
  }

  /** Makes later requests use new connections; requests in progress keep theirs. */
  reconnect(): void {
    for (const agent of this.#agents) retire(agent)
    this.#agents = agentsOf(this.#connections)
    this.#client = undefined
  }

  /** @throws {StorageError} */
  send<I extends ServiceInputTypes, O extends ServiceOutputTypes>(command: S3Command<I, O>, call: Call): Promise<O> {
    return this.use((s3) => inTime(s3, () => s3.send(command, { abortSignal: call.signal })), call)
  }

  /**
   * Sends an object that is in memory.
   *
   * @param sha256 Of its bytes, in hex, so that it is not computed again.
   * @returns Its etag.
   * @throws {StorageError}
   */
  put(
    input: SmallPut,
    sha256: string | undefined,
    onSent: (bytes: number) => void,
    call: Call,
  ): Promise<string | undefined> {
    const { signal } = call
    return this.use(async (s3) => {
      const route = input.Body.byteLength <= PIECE_BYTES ? await this.#routeOf(s3) : null
      if (route !== null) return inTime(s3, () => route.put(input, sha256, signal))
      const command = reporting(signedWith(new PutObjectCommand({ ...input, Bucket: this.bucket }), sha256), onSent)
      return (await inTime(s3, () => s3.send(command, { abortSignal: signal }))).ETag
    }, call)
  }

  /** Calls with a client that has good credentials, and again with new ones if they are refused. */
  use<R>(work: (s3: S3Client) => Promise<R>, { at, signal, isWrite = false }: Call): Promise<R> {
    const attempt = async (identity: Identity | undefined): Promise<R> => {
      try {
        signal.throwIfAborted()
        const s3 = this.#with(identity)
        if (identity === undefined) await this.#keepFound(s3)
        return await work(s3)
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
      // The SDK writes into the object that it receives.
      const credentials = identity && { credentials: { ...identity } }
      const [httpAgent, httpsAgent] = this.#agents
      const requestHandler = { httpAgent, httpsAgent, connectionTimeout: CONNECT_MS, socketTimeout: 0 }
      const s3 = new S3Client({ ...this.#config, requestHandler, ...credentials })
      boundAnswers(s3)
      this.#answers.watch(s3)
      this.#client = { identity, s3 }
    }
    return this.#client.s3
  }

  /**
   * Credentials that the SDK finds by itself do not come from a Credential. Each request asks for them, and gets the
   * same ones while they are valid.
   */
  async #keepFound(s3: S3Client): Promise<void> {
    const found = await s3.config.credentials()
    if (found === this.#found) return
    this.#found = found
    keepSecret(this, secretOf(found))
  }

  #routeOf(s3: S3Client): Promise<Route | null> {
    if (this.#route?.s3 === s3) return this.#route.found
    const found = Route.find(s3, this.bucket, this.#answers)
    this.#route = { s3, found }
    // The credentials may have failed, and are looked up again.
    found.catch(() => {
      if (this.#route?.found === found) this.#route = undefined
    })
    return found
  }
}

/** Unlimited: operations are limited, and bodies that wait for their reader must not block others. */
function agentsOf(connections: number): readonly [Agent, SecureAgent] {
  const options = { keepAlive: true, maxFreeSockets: connections, timeout: IDLE_MS, scheduling: 'lifo' } as const
  return [new Agent(options), new SecureAgent(options)]
}

/** Closes idle connections; those in use close after their request. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}

/** Resends a request that was refused for its time, with the time of the service. */
async function inTime<T>(s3: S3Client, send: () => Promise<T>): Promise<T> {
  const signed = signingTime(s3)
  try {
    return await send()
  } catch (error) {
    if (!isSkewed(error, signed)) throw error
    takeTimeOf(s3, error)
    return send()
  }
}

/** Signs `command` with a known digest of its body, so that it is not computed again. */
function signedWith(command: PutObjectCommand, sha256: string | undefined): PutObjectCommand {
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
