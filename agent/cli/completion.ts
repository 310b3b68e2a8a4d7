/**
 * Completion scripts for bash, zsh and fish, made from the command line itself: verbs, options, the values that an option
 * takes where they are few, files where a file is meant. The scripts stand alone and call nothing.
 */
import { type CommandNode, flatten, type OptionNode } from './command-tree.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, tree: CommandNode): string {
  const nodes = flatten(tree);
  if (shell === 'bash') return bashScript(nodes);
  return shell === 'zsh' ? zshScript(nodes) : fishScript(nodes);
}

type Kind = 'file' | 'directory' | 'none';

/** Values named file, path and dir are on disk. */
function kindOf(value: string): Kind {
  if (value === 'dir') return 'directory';
  return value === 'file' || value === 'path' ? 'file' : 'none';
}

const namesOf = ({ short, long }: OptionNode): string[] => (short === null ? [long] : [short, long]);
const keyOf = ({ path }: CommandNode): string => path.join(' ');
/** Options of a command and, before any verb, of weft itself. */
const words = ({ children, options, arguments: args }: CommandNode): string[] => [
  ...children.map(({ path }) => path.at(-1) ?? ''),
  ...args.flatMap(({ choices }) => choices),
  ...options.flatMap(namesOf),
];

/** Every option that takes a value, once: the shell must not take its value for a verb. */
function valued(nodes: readonly CommandNode[]): OptionNode[] {
  const all = nodes.flatMap(({ options }) => options).filter(({ value }) => value !== null);
  return all.filter((option, i) => all.findIndex(({ long }) => long === option.long) === i);
}

/** The same walk in both: which command the words so far name. */
function walk(nodes: readonly CommandNode[], array: string, first: number, cursor: string): string {
  const steps = nodes.slice(1).map((node) => `      "${keyOf(node)}") at="${keyOf(node)}" ;;`);
  return `  at=weft
  skip=
  for ((i = ${first}; i < ${cursor}; i++)); do
    if [[ -n $skip ]]; then skip=; continue; fi
    word=\${${array}[i]}
    case $word in
      ${valued(nodes).flatMap(namesOf).join('|')}) skip=1; continue ;;
    esac
    case "$at $word" in
${steps.join('\n')}
    esac
  done`;
}

function valueCases(nodes: readonly CommandNode[], reply: (option: OptionNode) => string): string {
  const cases = nodes.flatMap((node) =>
    node.options
      .filter(({ value }) => value !== null)
      .map(
        (option) =>
          `    ${namesOf(option)
            .map((name) => `"${keyOf(node)} ${name}"`)
            .join('|')}) ${reply(option)} ;;`,
      ),
  );
  return cases.join('\n');
}

function bashScript(nodes: readonly CommandNode[]): string {
  const reply = ({ choices, value }: OptionNode): string => {
    if (choices.length > 0) return `COMPREPLY=($(compgen -W "${choices.join(' ')}" -- "$cur")); return`;
    const flag = { file: '-f', directory: '-d', none: '' }[kindOf(value ?? '')];
    return flag === ''
      ? 'return'
      : `compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen ${flag} -- "$cur")); return`;
  };
  const lists = nodes.map(
    (node) => `    "${keyOf(node)}") COMPREPLY=($(compgen -W "${words(node).join(' ')}" -- "$cur")) ;;`,
  );
  return `# bash completion for weft: . <(weft completion bash)
_weft() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} at skip word i
${walk(nodes, 'COMP_WORDS', 1, 'COMP_CWORD')}
  COMPREPLY=()
  case "$at $prev" in
${valueCases(nodes, reply)}
  esac
  case $at in
${lists.join('\n')}
  esac
}
complete -F _weft weft
`;
}

function zshScript(nodes: readonly CommandNode[]): string {
  const reply = ({ choices, value }: OptionNode): string => {
    if (choices.length > 0) return `compadd -- ${choices.join(' ')}; return`;
    const call = { file: '_files', directory: '_files -/', none: '' }[kindOf(value ?? '')];
    return call === '' ? 'return' : `${call}; return`;
  };
  const described = (pairs: readonly (readonly [string, string])[]): string =>
    pairs.map(([name, text]) => zshQuote(`${name.replaceAll(':', '\\:')}:${text}`)).join(' ');
  const lists = nodes.map((node) => {
    const verbs = node.children.map(({ path, summary }) => [path.at(-1) ?? '', summary] as const);
    const choices = node.arguments.flatMap(({ choices }) => choices.map((choice) => [choice, ''] as const));
    const options = node.options.flatMap((option) =>
      namesOf(option).map((name) => [name, option.description] as const),
    );
    return `    "${keyOf(node)}") list=(${described([...verbs, ...choices, ...options])}) ;;`;
  });
  return `#compdef weft
# zsh completion for weft: weft completion zsh > "\${fpath[1]}/_weft"
_weft() {
  local at skip word i prev=\${words[CURRENT-1]}
  local -a list
${walk(nodes, 'words', 2, 'CURRENT')}
  case "$at $prev" in
${valueCases(nodes, reply)}
  esac
  case $at in
${lists.join('\n')}
  esac
  _describe weft list
}
compdef _weft weft
`;
}

const zshQuote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function fishScript(nodes: readonly CommandNode[]): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const steps = nodes
    .slice(1)
    .map((node) => `            case ${quote(keyOf(node))}\n                set at ${quote(keyOf(node))}`);
  const lines = nodes.flatMap((node) => {
    const when = `complete -c weft -n ${quote(`test (__weft_path) = "${keyOf(node)}"`)}`;
    const verbs = node.children.map(
      ({ path, summary }) => `${when} -a ${quote(path.at(-1) ?? '')} -d ${quote(summary)}`,
    );
    const choices = node.arguments.flatMap(({ choices }) =>
      choices.map((choice) => `${when} -a ${quote(choice)}`),
    );
    const options = node.options.map((option) => {
      const short = option.short === null ? '' : ` -s ${option.short.slice(1)}`;
      return `${when}${short} -l ${option.long.slice(2)} -d ${quote(option.description)}${fishValue(option, quote)}`;
    });
    return [...verbs, ...choices, ...options];
  });
  return `# fish completion for weft: weft completion fish > ~/.config/fish/completions/weft.fish
function __weft_path
    set -l at weft
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case ${valued(nodes).flatMap(namesOf).join(' ')}
                set skip 1
                continue
        end
        switch "$at $word"
${steps.join('\n')}
        end
    end
    echo $at
end
complete -c weft -f
${lines.join('\n')}
`;
}

function fishValue({ value, choices }: OptionNode, quote: (text: string) => string): string {
  if (value === null) return '';
  if (choices.length > 0) return ` -x -a ${quote(choices.join(' '))}`;
  const kind = kindOf(value);
  if (kind === 'directory') return ` -x -a ${quote('(__fish_complete_directories)')}`;
  return kind === 'file' ? ' -r -F' : ' -x';
}
