/** Of the kit: cases are added with the number after the dot, and become `must` with the one before it. */
export const KIT_VERSION = '1.2'
