import { Credential, type Secret } from '@stored/core/backend'
import type { Login } from './connection.ts'
import type { SftpBackendOptions } from './options.ts'

/** The secret options as one credential: they are refused together, and so are requested together. */
export function credentialOf({ password, privateKey, passphrase }: SftpBackendOptions): Credential<Login> {
  const ask = async (): Promise<Login> => ({
    ...(password !== undefined && { password: await reveal(password) }),
    ...(privateKey !== undefined && { privateKey: await reveal(privateKey) }),
    ...(passphrase !== undefined && { passphrase: await reveal(passphrase) }),
  })
  const isRenewable = [password, privateKey, passphrase].some((secret) => typeof secret === 'function')
  if (isRenewable) return new Credential(ask)
  return new Credential({ password, privateKey, passphrase } as Login)
}

async function reveal(secret: Secret<string>): Promise<string> {
  return typeof secret === 'function' ? secret() : secret
}
