export { BlobIndex } from './blob-index.ts'
export { rewriterOf } from './format-2.ts'
