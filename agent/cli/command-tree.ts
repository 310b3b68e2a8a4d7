/** The command line as plain data, walked out of commander: what completion.ts and man-page.ts are made from. */
import type { Argument, Command, Option } from 'commander';

export interface CommandNode {
  /** `weft token create` as ['weft', 'token', 'create']. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly arguments: readonly ArgumentNode[];
  readonly options: readonly OptionNode[];
  readonly children: readonly CommandNode[];
}

export interface ArgumentNode {
  readonly name: string;
  readonly required: boolean;
  readonly variadic: boolean;
  readonly choices: readonly string[];
}

export interface OptionNode {
  /** `-h`, where there is one. */
  readonly short: string | null;
  readonly long: string;
  /** As written: `--underlay <ip[:port]>`. */
  readonly flags: string;
  /** Name of its value; null for a switch. */
  readonly value: string | null;
  readonly description: string;
  readonly choices: readonly string[];
  /** Default for people, `1h`; null where there is none. */
  readonly defaultText: string | null;
}

export function treeOf(command: Command, above: readonly string[] = []): CommandNode {
  const path = [...above, command.name()];
  const help = command.createHelp();
  return {
    path,
    summary: command.summary() || command.description(),
    description: command.description(),
    arguments: command.registeredArguments.map(argumentOf),
    options: help.visibleOptions(command).map(optionOf),
    children: command.commands.map((child) => treeOf(child, path)),
  };
}

/** The node and all below it, depth first. */
export function flatten(node: CommandNode): CommandNode[] {
  return [node, ...node.children.flatMap(flatten)];
}

function argumentOf(argument: Argument): ArgumentNode {
  const { required, variadic, argChoices = [] } = argument;
  return { name: argument.name(), required, variadic, choices: argChoices };
}

function optionOf(option: Option): OptionNode {
  const { short = null, flags, description, argChoices = [], defaultValue, defaultValueDescription } = option;
  const shown = defaultValueDescription ?? (typeof defaultValue === 'boolean' ? undefined : defaultValue);
  return {
    short,
    long: option.long ?? '',
    flags,
    value: /[<[]([^\]>]*)/.exec(flags)?.[1]?.replace(/\.\.\.$/, '') ?? null,
    description,
    choices: argChoices,
    defaultText: shown === undefined ? null : String(shown),
  };
}
