declare const revision: unique symbol

/** Stands for one state of a row, and changes with every change of it. Opaque. */
export type Rev = string & { readonly [revision]: true }
