/** The keyboard: which key does what, for the handler and for the help that `?` shows. Pure. */

export const VIEWS = ['mesh', 'peers', 'fdb', 'drops', 'events'] as const;
export type View = (typeof VIEWS)[number];

export type Command =
  | { readonly kind: 'view'; readonly view: View }
  | { readonly kind: 'find' | 'theme' | 'pause' | 'help' | 'close' };

export interface Shortcut {
  readonly keys: string;
  readonly does: string;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { keys: '1 to 5', does: 'Mesh, Peers, FDB, Drops, Events' },
  { keys: '/', does: 'Search the table' },
  { keys: '← →', does: 'In the picture: the next host; on the tabs: the next tab' },
  { keys: 't', does: 'Theme: as the system, light, dark' },
  { keys: 'p', does: 'Pause and go on' },
  { keys: '?', does: 'This help' },
  { keys: 'Esc', does: 'Close the help, leave the search' },
];

export interface KeyPress {
  readonly key: string;
  /** Ctrl, Alt or Meta is down: a key of the browser. */
  readonly modified: boolean;
  /** In a field that takes text. */
  readonly typing: boolean;
}

export function commandOf({ key, modified, typing }: KeyPress): Command | null {
  if (modified) return null;
  if (key === 'Escape') return { kind: 'close' };
  if (typing) return null;
  const view = VIEWS[Number(key) - 1];
  if (/^[1-9]$/.test(key) && view !== undefined) return { kind: 'view', view };
  if (key === '/') return { kind: 'find' };
  if (key === 't') return { kind: 'theme' };
  if (key === 'p') return { kind: 'pause' };
  return key === '?' ? { kind: 'help' } : null;
}
