/** Draws sorted keys as a tree: what a key shares with the previous one is not repeated. */
export class TreeView {
  #former: readonly string[] = []

  /** @returns The lines that this key adds. */
  linesFor(key: string): string[] {
    const parts = key.split('/')
    let shared = 0
    while (shared < parts.length - 1 && shared < this.#former.length - 1 && parts[shared] === this.#former[shared])
      shared++
    this.#former = parts
    const isLeaf = (depth: number) => depth === parts.length - 1
    return parts.slice(shared).map((part, i) => `${'  '.repeat(shared + i)}${part}${isLeaf(shared + i) ? '' : '/'}`)
  }
}
