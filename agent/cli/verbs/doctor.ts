/** `weft doctor`: what on this machine keeps packets from arriving, or will, with or without a running agent. */
import type { Command } from 'commander';
import { EXIT } from '../../errors.ts';
import { jsonOption } from '../arguments.ts';
import type { Context } from '../context.ts';
import { checkConfig, checkFdb, checkPeers, checkSocket, checkSockets } from '../doctor/agent-checks.ts';
import { type Examination, examine } from '../doctor/examination.ts';
import { type DoctorReport, formatFindings, reportOf } from '../doctor/finding.ts';
import { checkFirewall } from '../doctor/firewall-check.ts';
import {
  checkBuffers,
  checkChecksums,
  checkClock,
  checkKernel,
  checkPriority,
  checkRights,
  checkTun,
} from '../doctor/machine-checks.ts';
import { checkNat } from '../doctor/nat-check.ts';
import { checkUnderlay } from '../doctor/underlay-checks.ts';

export function addDoctor(program: Command, context: Context): void {
  program
    .command('doctor')
    .summary('what on this machine is in the way, with the fix')
    .description(
      'Look at kernel, rights, buffers, underlay, firewall, NAT, MTU, clock and agent: one line each, ok, warn or fail, with ' +
        'the fix. Works with and without a running agent; best as root. Changes nothing. Exits 1 if anything is to fix.',
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `\nExamples:\n  weft doctor\n  weft doctor --json | jq -r '.findings[] | select(.level != "ok") | .what'`,
    )
    .action(async (flags: { readonly json?: boolean }) => {
      const report = judge(await examine(context));
      context.show(report, flags.json, (found) => formatFindings(found, context.coloured));
      if (report.failures > 0) context.exitStatus = EXIT.failure;
    });
}

/** All checks, in the order in which they are worth reading. */
export function judge(x: Examination): DoctorReport {
  return reportOf([
    checkConfig(x),
    checkSocket(x),
    ...checkPeers(x),
    ...checkNat(x),
    ...checkFdb(x),
    checkKernel(x),
    checkTun(x),
    checkRights(x),
    ...checkPriority(x),
    ...checkUnderlay(x),
    ...checkFirewall(x),
    ...checkSockets(x),
    checkBuffers(x),
    ...checkClock(x),
    ...checkChecksums(x),
  ]);
}
