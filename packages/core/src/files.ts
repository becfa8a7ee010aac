// Entry `@stored/core/files`: directories and files of a store on this machine, and who may use them.
export { ACCESS_MODE, type AccessMode, directoryMode, fileMode, SOCKET_MODE, setMode } from './files/access-mode.ts'
export { describeOwner, mapFileError } from './files/file-owner.ts'
export { makeDirectories, makeDirectory, syncDirectory } from './files/make-directory.ts'
export { statIfThere } from './files/stat-if-there.ts'
