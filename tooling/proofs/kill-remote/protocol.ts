/** The input of the process to be killed. */
export interface Work {
  /** Directory of the store. */
  readonly store: string
  readonly backend: Where
}

/** Options of the driver `s3`. */
export interface Where {
  readonly endpoint: string
  readonly bucket: string
  readonly flavor: 'ceph'
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** In bytes. */
  readonly partSize: number
}

/** The name of the backend. */
export const FAR = 'far'

/** The messages of the syncing process. */
export type Message = Failed | Standing

/** An attempt at a job failed, and will be repeated. */
export interface Failed {
  readonly type: 'failed'
  readonly key: string
  readonly error: string
}

/** Its progress, sent in reply to a message. */
export interface Standing {
  readonly type: 'standing'
  /** For people: one line for the backend, then one for each job. */
  readonly lines: readonly string[]
}
