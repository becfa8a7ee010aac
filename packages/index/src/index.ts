export { BlobIndex } from './blob-index.ts'
