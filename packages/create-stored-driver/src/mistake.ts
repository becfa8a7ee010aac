/** What was asked for cannot be meant as it stands. Nothing was written. */
export class Mistake extends Error {
  static {
    Mistake.prototype.name = 'Mistake'
  }
}
