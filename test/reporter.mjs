/**
 * Reporter for Node's test runner: one line for each file with its count and time, every failure in full, and the counts
 * as JSON in the file that WEFT_TEST_COUNTS names. A test that skips itself has failed: nothing here is optional.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { inspect } from 'node:util';

/** Files that take longer are named at the end. */
const SLOW_MS = 20_000;

export default async function* report(events) {
  const files = new Map(); // bounded by the files of one run
  const counts = { passed: 0, failed: 0 };
  for await (const { type, data } of events) {
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
    // Node's own summary has no file.
    if (type === 'test:diagnostic' && data.file !== undefined) yield `      ${data.message}\n`;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const file = relative(process.cwd(), data.file ?? data.name);
    const tally = files.get(file) ?? { passed: 0, failed: 0, ms: 0 };
    files.set(file, tally);
    if (data.nesting === 0) tally.ms += data.details?.duration_ms ?? 0;
    const isSuite = data.details?.type === 'suite';
    // A suite fails by itself only when one of its hooks does.
    if (isSuite && (type === 'test:pass' || data.details.error?.failureType === 'subtestsFailed')) continue;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    const failed = type === 'test:fail' || skipped;
    counts[failed ? 'failed' : 'passed']++;
    tally[failed ? 'failed' : 'passed']++;
    if (failed) yield failure(file, data, skipped);
    else if ((data.details?.duration_ms ?? 0) > 1000) {
      yield `    ${data.name} (${seconds(data.details.duration_ms)})\n`;
    }
  }
  for (const [file, { passed, failed, ms }] of files) {
    const slow = ms > SLOW_MS ? '  slow' : '';
    yield `${failed === 0 ? 'ok' : 'FAILED'} ${file}: ${passed} passed, ${failed} failed, ${seconds(ms)}${slow}\n`;
  }
  if (process.env.WEFT_TEST_COUNTS) writeFileSync(process.env.WEFT_TEST_COUNTS, JSON.stringify(counts));
}

function failure(file, data, skipped) {
  const error = data.details?.error;
  const reason = skipped ? 'skipped: nothing may be' : inspect(error?.cause ?? error, { depth: 4 });
  return `FAILED ${file}: ${data.name}\n${reason.replace(/^/gm, '    ')}\n`;
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
