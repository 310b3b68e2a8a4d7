/** What the schema says is wrong, in words that an operator acts on. */
import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** `is "loud"; must be one of debug, info`. */
export function explainIssue(issue: Issue, value: unknown): string {
  return `${shown(value)} is not valid; ${demandOf(issue, value)}`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function demandOf(issue: Issue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_type':
      return demandedType(issue.expected, value);
    case 'too_big':
      return `must be at most ${issue.maximum}${unitOf(issue.origin)}`;
    case 'too_small':
      return `must be at least ${issue.minimum}${unitOf(issue.origin)}`;
    case 'invalid_value':
      return `must be one of ${issue.values.map(String).join(', ')}`;
    default:
      return issue.message;
  }
}

function demandedType(expected: string, value: unknown): string {
  if (expected === 'number' || expected === 'int') return 'must be a whole number';
  if (expected === 'array') return 'must be a list, such as [a, b]';
  if (expected === 'string')
    return typeof value === 'number' ? 'must be text: put it in quotes' : 'must be text';
  return `must be of type ${expected}`;
}

function unitOf(origin: string): string {
  return origin === 'array' ? ' entries' : '';
}
