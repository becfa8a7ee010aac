export { printable } from './backend/printable.ts'
