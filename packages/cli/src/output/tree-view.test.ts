import { describe, expect, it } from 'vitest'
import { TreeView } from './tree-view.ts'

describe('TreeView', () => {
  it('does not repeat what a key shares with the previous one', () => {
    const tree = new TreeView()
    const lines = ['a', 'a/b/c', 'a/b/d', 'a/e', 'b/b/c'].flatMap((key) => tree.linesFor(key))
    expect(lines).toEqual(['a', 'a/', '  b/', '    c', '    d', '  e', 'b/', '  b/', '    c'])
  })
})
