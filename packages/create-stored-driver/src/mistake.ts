/** The request is invalid. Nothing was written. */
export class Mistake extends Error {
  static {
    Mistake.prototype.name = 'Mistake'
  }
}
