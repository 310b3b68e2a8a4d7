/** docs/weft.8, made from the command line itself (man(7) macros); a test compares the file with it. */
import { type CommandNode, flatten, type OptionNode } from './command-tree.ts';
import { SUMMARY, WALK_THROUGH } from './help.ts';

/** Text of a man page: no line may begin with a control character, and hyphens and backslashes are literal. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .split('\n')
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join('\n');
}

/** Paragraph text with `weft VERB` in bold. */
const prose = (text: string): string => escaped(text).replace(/`([^`\n]+)`/g, '\\fB$1\\fR');

function usage({ path, arguments: args, options, children }: CommandNode): string {
  const words = args.map(({ name, required, variadic }) => {
    const text = `\\fI${escaped(name.toUpperCase())}\\fR${variadic ? '...' : ''}`;
    return required ? text : `[${text}]`;
  });
  const verb = children.length > 0 ? ['\\fIVERB\\fR'] : [];
  return [
    `\\fB${escaped(path.join(' '))}\\fR`,
    ...(options.length > 1 ? ['[\\fIoptions\\fR]'] : []),
    ...words,
    ...verb,
  ].join(' ');
}

function optionText({ flags, description, choices, defaultText }: OptionNode): string {
  const name = escaped(flags).replace(/&lt;|<([^>]*)>/g, '\\fI$1\\fR');
  const more = [
    ...(choices.length > 0 ? [`One of ${choices.join(', ')}.`] : []),
    ...(defaultText === null ? [] : [`Default: ${defaultText}.`]),
  ];
  return `.TP\n\\fB${name}\\fR\n${prose([`${description}.`, ...more].join(' '))}`;
}

function verbText(node: CommandNode): string {
  const options = node.options.filter(({ long }) => long !== '--help').map(optionText);
  return [
    `.SS "${escaped(node.path.slice(1).join(' '))}"`,
    usage(node),
    '.PP',
    prose(node.description),
    ...options,
  ].join('\n');
}

/** The lines of the walk-through that begin with this word, up to the next blank line or capital. */
const walkThrough = (): string => escaped(WALK_THROUGH.trim());

export function manPage(tree: CommandNode): string {
  const verbs = flatten(tree)
    .slice(1)
    .filter(({ children }) => children.length === 0);
  return `${[
    '.\\" Made from the command line by test/unit/man-page.test.ts; change the verbs, not this file.',
    '.TH WEFT 8 "" "weft" "System Administration"',
    '.SH NAME',
    'weft \\- one Ethernet over many hosts',
    '.SH SYNOPSIS',
    '\\fBweft\\fR [\\fB\\-\\-state\\fR \\fIDIR\\fR] [\\fB\\-\\-socket\\fR \\fIPATH\\fR] [\\fB\\-\\-config\\fR \\fIFILE\\fR] \\fIVERB\\fR [\\fIoptions\\fR]',
    '.SH DESCRIPTION',
    prose(SUMMARY),
    '.SH OPTIONS',
    ...tree.options.map(optionText),
    '.SH VERBS',
    ...verbs.map(verbText),
    '.SH EXAMPLES AND ENVIRONMENT',
    '.nf',
    walkThrough(),
    '.fi',
    '.SH SEE ALSO',
    '\\fBip\\fR(8), \\fBbridge\\fR(8), \\fBwg\\fR(8)',
  ].join('\n')}\n`;
}
