/**
 * The commands that the documents tell people to type: whole lines of blocks, and what stands in backquotes. A block is one
 * without a language whose first line begins with a program. For the walk that types them and for the test that parses them.
 */
import { type Document, documents } from './docs-source.ts';

export interface Command {
  /** `docs/X.md: the text`, for messages. */
  readonly place: string;
  /** Without its comment, continued lines joined, one space between words. */
  readonly text: string;
  /** A line of a block is typed as it stands; what a sentence mentions may be a part of what is typed. */
  readonly kind: 'line' | 'mention';
}

/** What people type at a shell here. */
const PROGRAMS =
  'apt|bridge|cat|chgrp|chmod|docker|ethtool|git|install|ip|journalctl|kill|ln|node|npm|npx|ovs-vsctl|ping|printf|rm|runuser|scp|ssh|sudo|systemctl|tshark|weft';
const STARTS = new RegExp(`^(?:${PROGRAMS}) \\S`);
const PROGRAM = /^[a-z-]+$/;
const BLOCK = /^```\w*\n.*?^```/gms;

/** Not for people at a shell: bytes, decisions, history. */
const LEFT_OUT = /^(docs\/WIRE\.md|docs\/adr\/.*|CHANGELOG\.md)$/;

export function commandDocuments(): Document[] {
  return documents().filter(({ path }) => !LEFT_OUT.test(path));
}

export function commandsOf({ path, text }: Document): Command[] {
  const lines = [...text.matchAll(/^```\n(.*?)^```/gms)]
    .map(([, block = '']) => block.replaceAll(/ *\\\n\s*/g, ' ').split('\n'))
    .filter(([first = '']) => STARTS.test(first))
    .flatMap((block) => block.map((line) => line.replace(/(^|\s)#\s.*$/, '').trim()).filter(Boolean));
  const mentions = [...text.replaceAll(BLOCK, '').matchAll(/`([^`]+)`/g)]
    .map(([, mention = '']) => mention.replaceAll('\\|', '|').replaceAll(/\s+/g, ' ').trim())
    .filter((mention) => STARTS.test(mention));
  const found =
    (kind: Command['kind']) =>
    (text: string): Command => ({ place: `${path}: ${text}`, text, kind });
  return [...lines.map(found('line')), ...mentions.map(found('mention'))];
}

/** The simple commands of a line: what stands between `&&`, `|` and a trailing `&`. */
export function simpleCommands(line: string): string[] {
  return line
    .split(/\s+(?:&&|\|)\s+|\s+&$/)
    .map((part) => part.trim())
    .filter(Boolean);
}

/** A line with each `[...]` left out and without its brackets: both forms are promised. */
export function variants(line: string): string[] {
  const optional = /\s*\[([^\]]*)\]/.exec(line);
  if (optional === null) return [line.trim()];
  const [whole, inner = ''] = optional;
  return [line.replace(whole, ''), line.replace(whole, ` ${inner}`)].flatMap(variants);
}

/**
 * Whether what a sentence mentions is part of a typed command: its words in their order. Capitals stand for any word, `[...]`
 * may be there, `...` is anything.
 */
export function isPartOf(mention: string, typed: string): boolean {
  const wanted = mention
    .replaceAll(/\[[^\]]*\]/g, '')
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '...');
  const words = typed.split(/\s+/);
  let at = 0;
  for (const [i, word] of wanted.entries()) {
    const found = words.findIndex((each, place) => place >= at && (each === word || /^[A-Z]+$/.test(word)));
    if (found < 0 || (i === 0 && (found !== 0 || !PROGRAM.test(word)))) return false;
    at = found + 1;
  }
  return true;
}

/** Whether a command was typed: a line as it stands, in all its forms; a mention within any simple command. */
export function wasTyped({ text, kind }: Pick<Command, 'text' | 'kind'>, typed: readonly string[]): boolean {
  const all = typed.flatMap((line) => [line, ...simpleCommands(line)]);
  if (kind === 'line') return variants(text).every((variant) => all.includes(variant));
  return simpleCommands(text).every((part) => all.some((each) => isPartOf(part, each)));
}
