/** Asks scapy, a third party, how super-frames are cut. Used by the vector and native tests of the offloads. */
import { join } from 'node:path';
import fc from 'fast-check';
import { run } from '../../agent/lab/command.ts';
import { ROOT } from '../unit/style-source.ts';
import { buildFrame, type FrameShape } from './frame-builder.ts';
import { fitted, flowShape } from './frame-maker.ts';

export interface ScapyCase {
  readonly frame: Uint8Array;
  readonly gsoSize: number;
}

export interface ScapyAnswer {
  /** The super-frame with a finished checksum. */
  readonly whole: Uint8Array;
  readonly segments: readonly Uint8Array[];
}

const PROGRAM = join(ROOT, 'test/twin/scapy_oracle.py');

/** The system's own interpreter: it is the one that Debian's python3-scapy belongs to. */
const PYTHON = '/usr/bin/python3';

/** @throws Error unless scapy answers every case */
export async function scapyAnswers(cases: readonly ScapyCase[]): Promise<ScapyAnswer[]> {
  const lines = cases.map(({ frame, gsoSize }) =>
    JSON.stringify({ frame: Buffer.from(frame).toString('hex'), gsoSize }),
  );
  const ended = await run([PYTHON, PROGRAM], { input: `${lines.join('\n')}\n`, timeoutMs: 120_000 });
  const answers = ended.out.split('\n').filter(Boolean);
  if (ended.status === 0 && answers.length === cases.length) return answers.map(parsed);
  throw new Error(
    `scapy answered ${answers.length} of ${cases.length} (apt-get install python3-scapy): ${ended.err}`,
  );
}

function parsed(line: string): ScapyAnswer {
  const { whole, segments }: { whole: string; segments: string[] } = JSON.parse(line);
  return { whole: bytesOf(whole), segments: segments.map(bytesOf) };
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

/** TCP options that scapy writes as it has read them: timestamps, SACK, MSS, window scale, each padded by NOPs. */
const TCP_OPTIONS: readonly string[] = [
  '',
  '0101080a0000102a00001020',
  '0101050a0000100000001400',
  '020405b4',
  '01030307',
  '0101080a0000102a000010200101050a0000100000001400',
];
/** IPv4: router alert (RFC 2113), NOPs. */
const IP_OPTIONS: readonly string[] = ['', '', '', '94040000', '01010101'];

/** Super-frames of kinds that scapy writes as it reads them. */
export function scapyCase(): fc.Arbitrary<ScapyCase> {
  return fc
    .tuple(
      flowShape(),
      fc.record({
        tcpOptions: fc.constantFrom(...TCP_OPTIONS).map(bytesOf),
        ipOptions: fc.constantFrom(...IP_OPTIONS).map(bytesOf),
        tags: fc.constantFrom<FrameShape['tags'][]>(
          [],
          [],
          [],
          [],
          [{ tpid: 0x8100, tci: 0xa064 }],
          [
            { tpid: 0x88a8, tci: 5 },
            { tpid: 0x8100, tci: 6 },
          ],
        ),
        extensions: fc.constantFrom<FrameShape['extensions'][]>(
          [],
          [],
          [],
          [{ kind: 60, units: 1, offset: 0 }],
          [
            { kind: 0, units: 0, offset: 0 },
            { kind: 60, units: 2, offset: 0 },
          ],
        ),
        flags: fc.constantFrom(0x10, 0x10, 0x18, 0x18, 0x11, 0x19, 0x90, 0xd9),
        // Without payload it is no super-frame: split refuses what scapy would hand back as it is.
        payloadBytes: fc.oneof(fc.integer({ min: 1, max: 4000 }), fc.integer({ min: 4000, max: 65535 })),
      }),
      fc.integer({ min: 200, max: 1460 }),
    )
    .map(([flow, more, gsoSize]) => {
      // Ports under which scapy sees no protocol above, so that the payload stays as it is.
      const ports = { sourcePort: 40_001, targetPort: 40_002 };
      return { frame: buildFrame(fitted({ ...flow, ...more, ...ports, checksum: 'partial' })), gsoSize };
    });
}
