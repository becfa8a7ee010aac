/** The version of the kit: minor versions add cases, which become `must` with the next major version. */
export const KIT_VERSION = '1.2'
