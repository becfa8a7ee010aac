/** What the process that is to be killed is started with. */
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

/** What the process that syncs says. */
export type Message = Failed | Standing

/** A try of a job failed, and will be made again. */
export interface Failed {
  readonly type: 'failed'
  readonly key: string
  readonly error: string
}

/** How far it is, as it says when it gets a message. */
export interface Standing {
  readonly type: 'standing'
  /** For people: one of the backend, then one of each job. */
  readonly lines: readonly string[]
}
