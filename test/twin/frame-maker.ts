/**
 * fast-check arbitraries for the oracle tests of the offloads: single frames of every shape, super-frames with the
 * virtio-net header that belongs to them (or one that lies), and batches of neighbours that should join but for one
 * deliberate breakage here and there.
 */
import fc from 'fast-check';
import { buildFrame, type FrameShape, PLAIN } from './frame-builder.ts';
import type { FrameIn } from './join-twin.ts';
import { checksumOffset, layoutOf, TCP, UDP } from './packet-twin.ts';
import { GSO, type SplitOptions, type VnetTwin } from './split-twin.ts';

const none = new Uint8Array(0);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const words = (max: number): fc.Arbitrary<Uint8Array> =>
  fc.nat(max).chain((n) => fc.uint8Array({ minLength: n * 4, maxLength: n * 4 }));
/** Half of the time nothing, else a draw. */
const maybe = <T>(empty: T, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(empty) }, { weight: 2, arbitrary });

const tag = fc.record({ tpid: fc.constantFrom(0x8100, 0x88a8), tci: u16 });
const extension = fc.record({
  kind: fc.constantFrom(0, 43, 60),
  units: fc.nat(3),
  offset: fc.constant(0),
});
const port = fc.oneof(
  { weight: 8, arbitrary: fc.nat(0xffff) },
  { weight: 1, arbitrary: fc.constantFrom(0, 4789, 6081, 8472, 0xffff) },
);
/** Around the carry of every counter. */
const seq = fc.oneof(u32, fc.constantFrom(0, 0xffffffff, 0xffffff00, 0x7fffffff, 0xffff0000));
const ipId = fc.oneof(u16, fc.constantFrom(0, 0xffff, 0xfffe, 0x7fff));

/** Headers of one flow; the payload is for the caller to choose. */
export function flowShape(): fc.Arbitrary<FrameShape> {
  return fc
    .record({
      version: fc.constantFrom<4 | 6>(4, 6),
      protocol: fc.constantFrom(TCP, UDP),
      macSeed: u32,
      addresses: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      tos: fc.nat(255),
      ttl: fc.nat(255),
      flowLabel: fc.nat(0xfffff),
      id: ipId,
      fragmentField: fc.constantFrom(0, 0x4000, 0x4000),
      sourcePort: port,
      targetPort: port,
      seq,
      ack: u32,
      window: u16,
      tcpOptions: maybe(none, words(10)),
      payloadSeed: u32,
    })
    .map(({ addresses, ...drawn }) => {
      const bytes = drawn.version === 4 ? 4 : 16;
      const [source, target] = [addresses.slice(0, bytes), addresses.slice(16, 16 + bytes)];
      return { ...PLAIN, ...drawn, source, target };
    });
}

/** Any frame with TCP or UDP, tags, options, extension headers, fragments and padding included. */
export function anyShape(): fc.Arbitrary<FrameShape> {
  return fc
    .tuple(
      flowShape(),
      fc.record({
        tags: maybe<FrameShape['tags']>([], fc.array(tag, { maxLength: 3 })),
        ipOptions: maybe(none, words(10)),
        extensions: maybe<FrameShape['extensions']>([], fc.array(extension, { maxLength: 4 })),
        flags: fc.nat(255),
        reserved: fc.nat(15),
        urgent: maybe(0, u16),
        payloadBytes: fc.oneof(fc.nat(64), fc.nat(1500)),
        checksum: fc.constantFrom<FrameShape['checksum'][]>('whole', 'whole', 'partial', 'wrong', 'zero'),
        badIpChecksum: fc.boolean(),
        padding: maybe(0, fc.nat(64)),
        fragmentField: maybe(0x4000, fc.constantFrom(0, 0x2000, 0x2001, 0x00b9, 0x8000, 0xc000)),
        fragment: maybe<FrameShape['extensions']>(
          [],
          fc
            .record({ kind: fc.constant(44), units: fc.constant(0), offset: fc.constantFrom(0, 1) })
            .map((x) => [x]),
        ),
      }),
    )
    .map(([flow, { fragment, extensions, ...more }]) => ({
      ...flow,
      ...more,
      extensions: [...extensions, ...fragment],
    }));
}

export interface SuperFrame {
  readonly frame: Uint8Array;
  readonly vnet: VnetTwin;
  readonly options: SplitOptions;
}

/** A super-frame as a kernel gives it, up to the largest IP packet. */
export function superFrame(): fc.Arbitrary<SuperFrame> {
  const shape = fc
    .tuple(
      flowShape(),
      fc.record({
        tags: maybe<FrameShape['tags']>([], fc.array(tag, { maxLength: 2 })),
        ipOptions: maybe(none, words(10)),
        extensions: maybe<FrameShape['extensions']>([], fc.array(extension, { maxLength: 3 })),
        flags: fc.oneof(fc.constantFrom(0x10, 0x18, 0x11, 0x19, 0x90, 0x98, 0xd9), fc.nat(255)),
        reserved: maybe(0, fc.nat(15)),
        payloadBytes: fc.oneof(
          { weight: 3, arbitrary: fc.nat(6000) },
          { weight: 1, arbitrary: fc.integer({ min: 6000, max: 65535 }) },
          { weight: 1, arbitrary: fc.constantFrom(0, 1, 65535) },
        ),
      }),
    )
    .map(([flow, more]) => fitted({ ...flow, ...more, checksum: 'partial' }));
  const size = fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 500, max: 1460 }) },
    { weight: 2, arbitrary: fc.integer({ min: 1, max: 200 }) },
    { weight: 1, arbitrary: fc.constantFrom(1, 2, 8, 536, 1448, 9000, 65535) },
  );
  const limit = maybe(0, fc.oneof(fc.integer({ min: 576, max: 1500 }), fc.integer({ min: 1, max: 200 })));
  return fc
    .tuple(shape, size, fc.boolean(), limit, fc.boolean())
    .map(([drawn, gsoSize, ecn, maxPacketBytes, complete]) => {
      const frame = buildFrame(drawn);
      return { frame, vnet: vnetOf(frame, gsoSize, ecn), options: { maxPacketBytes, complete } };
    });
}

/** The shape with no more payload than an IP packet of 65,535 bytes has room for. */
export function fitted(shape: FrameShape): FrameShape {
  const chain = shape.extensions.reduce((sum, { kind, units }) => sum + (kind === 44 ? 8 : 8 + units * 8), 0);
  const network = shape.version === 4 ? 20 + shape.ipOptions.length : 40 + chain;
  const transport = shape.protocol === TCP ? 20 + shape.tcpOptions.length : 8;
  return { ...shape, payloadBytes: Math.min(shape.payloadBytes, 65535 - network - transport) };
}

/** What a kernel says about a super-frame. */
export function vnetOf(frame: Uint8Array, gsoSize: number, ecn = false): VnetTwin {
  const layout = layoutOf(frame);
  if (layout === null) throw new Error('a super-frame has a TCP or UDP header');
  const { version, protocol, l4 } = layout;
  const type = protocol === UDP ? GSO.UDP : version === 4 ? GSO.TCPV4 : GSO.TCPV6;
  const gsoType = type + (ecn && protocol === TCP ? GSO.ECN : 0);
  return { needsCsum: true, gsoType, gsoSize, csumStart: l4, csumOffset: checksumOffset(protocol) };
}

/** A super-frame of which the frame or what is said about it is false. */
export function brokenSuperFrame(): fc.Arbitrary<SuperFrame> {
  const lie = fc.oneof(
    fc.constantFrom<Partial<VnetTwin>>(
      { gsoSize: 0 },
      { needsCsum: false },
      { gsoType: GSO.NONE },
      { gsoType: GSO.TCPV4 },
      { gsoType: GSO.TCPV6 },
      { gsoType: GSO.UDP },
      { gsoType: 3 },
      { gsoType: 0x7f },
      { gsoType: GSO.ECN },
    ),
    fc.record({ csumStart: u16 }),
    fc.record({ csumOffset: u16 }),
    fc.record({ gsoSize: u16 }),
  );
  const damage = fc.oneof(
    fc.record({ kind: fc.constant('cut' as const), at: u32, value: fc.constant(0) }),
    fc.record({ kind: fc.constant('byte' as const), at: fc.nat(120), value: fc.nat(255) }),
    fc.record({ kind: fc.constant('longer' as const), at: fc.constant(0), value: fc.nat(40) }),
    fc.record({ kind: fc.constant('none' as const), at: fc.constant(0), value: fc.constant(0) }),
  );
  return fc.tuple(superFrame(), lie, damage).map(([good, said, { kind, at, value }]) => {
    const vnet = { ...good.vnet, ...said };
    if (kind === 'cut') return { ...good, vnet, frame: good.frame.slice(0, at % (good.frame.length + 1)) };
    if (kind === 'longer') {
      return { ...good, vnet, frame: Uint8Array.from([...good.frame, ...new Uint8Array(value).fill(value)]) };
    }
    const frame = good.frame.slice();
    if (kind === 'byte' && at < frame.length) frame[at] = value;
    return { ...good, vnet: kind === 'byte' ? good.vnet : vnet, frame };
  });
}

/** One change each, after which a frame may not join the run before it. */
const BREAKAGES: readonly ((shape: FrameShape) => Partial<FrameShape>)[] = [
  (s) => ({ seq: (s.seq + 1) % 2 ** 32 }),
  (s) => ({ ack: (s.ack + 1) % 2 ** 32 }),
  (s) => ({ window: s.window ^ 1 }),
  (s) => ({ tcpOptions: s.tcpOptions.map((byte) => byte ^ 1) }),
  (s) => ({ tcpOptions: s.tcpOptions.length === 0 ? new Uint8Array(4).fill(1) : new Uint8Array(0) }),
  ...[0x01, 0x02, 0x04, 0x20, 0x40, 0x80].map((flag) => (s: FrameShape) => ({ flags: s.flags | flag })),
  () => ({ flags: 0 }),
  (s) => ({ reserved: s.reserved ^ 1 }),
  (s) => ({ urgent: s.urgent ^ 1 }),
  (s) => ({ ttl: s.ttl ^ 1 }),
  (s) => ({ tos: s.tos ^ 3 }),
  (s) => ({ tos: s.tos ^ 0x80 }),
  (s) => ({ id: (s.id + 1) % 65536 }),
  (s) => ({ flowLabel: s.flowLabel ^ 1 }),
  (s) => ({ fragmentField: s.fragmentField ^ 0x4000 }),
  (s) => ({ fragmentField: s.fragmentField ^ 0x8000 }),
  (s) => ({ fragmentField: s.fragmentField | 0x2000 }),
  (s) => ({ fragmentField: s.fragmentField | 0x0001 }),
  (s) => ({ sourcePort: s.sourcePort ^ 1 }),
  (s) => ({ targetPort: s.targetPort ^ 1 }),
  () => ({ targetPort: 4789 }),
  () => ({ sourcePort: 6081 }),
  (s) => ({ source: s.source.map((byte, i) => (i === 3 ? byte ^ 1 : byte)) }),
  (s) => ({ target: s.target.map((byte, i) => (i === 0 ? byte ^ 1 : byte)) }),
  (s) => ({ macSeed: s.macSeed + 1 }),
  (s) => ({ protocol: s.protocol === TCP ? UDP : TCP }),
  (s) =>
    s.version === 4
      ? { version: 6 as const, source: wide(s.source), target: wide(s.target) }
      : { ttl: s.ttl ^ 2 },
  () => ({ checksum: 'wrong' as const }),
  () => ({ checksum: 'zero' as const }),
  () => ({ checksum: 'partial' as const }),
  () => ({ badIpChecksum: true }),
  () => ({ lengthError: 1 }),
  () => ({ lengthError: -1 }),
  () => ({ padding: 1 }),
  () => ({ tags: [{ tpid: 0x8100, tci: 1 }] }),
  () => ({ ipOptions: new Uint8Array(4).fill(1), extensions: [{ kind: 60, units: 0, offset: 0 }] }),
  () => ({ extensions: [{ kind: 44, units: 0, offset: 0 }] }),
  () => ({ payloadBytes: 0 }),
  (s) => ({ payloadBytes: s.payloadBytes + 1 }),
];

const wide = (address: Uint8Array): Uint8Array =>
  Uint8Array.from([...address, ...address, ...address, ...address]);

interface Step {
  readonly payload: 'same' | 'shorter';
  readonly push: boolean;
  /** Position in BREAKAGES, or null. */
  readonly breakage: number | null;
  readonly flipPartial: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  payload: fc.oneof(
    { weight: 14, arbitrary: fc.constant('same' as const) },
    { weight: 1, arbitrary: fc.constant('shorter' as const) },
  ),
  push: fc.oneof({ weight: 14, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  breakage: fc.oneof(
    { weight: 12, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.nat(BREAKAGES.length - 1) },
  ),
  flipPartial: fc.oneof(
    { weight: 25, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
});

/** Up to 90 frames of one flow in order, each with a chance of something that ends the run. */
export function neighbours(): fc.Arbitrary<FrameIn[]> {
  const size = fc.oneof(fc.integer({ min: 2, max: 1460 }), fc.constantFrom(1, 2, 536, 1448, 8900));
  const steps = fc.oneof(
    { weight: 6, arbitrary: fc.array(step, { minLength: 2, maxLength: 20 }) },
    { weight: 1, arbitrary: fc.array(step, { minLength: 60, maxLength: 90, size: 'max' }) },
    {
      weight: 1,
      arbitrary: fc.integer({ min: 60, max: 90 }).map((n) => Array.from({ length: n }, () => CALM)),
    },
  );
  return fc.tuple(flowShape(), size, fc.boolean(), steps).map(([flow, bytes, partial, list]) => {
    const ports = flow.protocol === UDP ? { sourcePort: 40_000, targetPort: 443 } : {};
    return walk({ ...flow, ...ports, payloadBytes: bytes, flags: 0x10 }, partial, list);
  });
}

const CALM: Step = { payload: 'same', push: false, breakage: null, flipPartial: false };

/** One frame that breaks a rule alone in the middle of a run; for every breakage in turn. */
export function everyBreakage(base: FrameShape, partial: boolean): FrameIn[][] {
  return BREAKAGES.map((_, breakage) => walk(base, partial, [CALM, CALM, { ...CALM, breakage }, CALM, CALM]));
}

function walk(base: FrameShape, partial: boolean, steps: readonly Step[]): FrameIn[] {
  let { seq: nextSeq, id: nextId } = base;
  return steps.map(({ payload, push, breakage, flipPartial }, i) => {
    const payloadBytes =
      payload === 'same' ? base.payloadBytes : Math.max(1, base.payloadBytes - 1 - (i % 7));
    const isPartial = partial !== flipPartial;
    const good: FrameShape = {
      ...base,
      seq: nextSeq,
      id: nextId,
      payloadBytes,
      payloadSeed: base.payloadSeed + i,
      flags: base.flags | (push ? 8 : 0),
      checksum: isPartial ? 'partial' : 'whole',
    };
    nextSeq = (nextSeq + payloadBytes) % 2 ** 32;
    nextId = (nextId + 1) % 65536;
    const shape = breakage === null ? good : { ...good, ...BREAKAGES[breakage]!(good) };
    return { bytes: buildFrame(shape), partial: isPartial };
  });
}

/** Frames that have nothing to do with each other, some of them no IP at all. */
export function strangers(): fc.Arbitrary<FrameIn[]> {
  const frame = fc.oneof(
    { weight: 4, arbitrary: anyShape().map(buildFrame) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 14, maxLength: 200 }) },
  );
  return fc.array(fc.record({ bytes: frame, partial: fc.boolean() }), { minLength: 1, maxLength: 12 });
}
