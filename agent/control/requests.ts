/** Bodies of requests to the control socket: bounded, JSON, and of the shape that api-types.ts gives. */
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { canonicalIp, parseEndpoint } from '../endpoint.ts';
import { WeftError } from '../errors.ts';
import type { AdmitterRequest, TokenRequest } from './admission-types.ts';
import type { PingRequest, PolicyRequest, RevokeRequest, TraceRequest, VtepRequest } from './api-types.ts';
import type { RecoverRequest, RotateRequest } from './root-types.ts';

/** The longest honest body is a token request of 200 bytes. */
const MAX_BODY_BYTES = 16_384;
const MAX_TTL_MS = 366 * 86_400_000;
/** Seconds in 16 bits. */
const MAX_LEEWAY_MS = 43_200_000;

/** A request that HTTP has a status of its own for. */
export class BodyError extends WeftError {
  readonly status: 413 | 415;

  constructor(status: 413 | 415, message: string) {
    super('E_REQUEST', message);
    this.status = status;
  }
}

const segment = z.string().min(1).max(63).nullable().default(null);

const tokenRequest = z.strictObject({
  ttlMs: z.int().min(1000).max(MAX_TTL_MS),
  uses: z.int().min(1).max(10_000),
  namePrefix: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,61}$/, 'must be 1 to 62 of a-z, 0-9 and hyphens')
    .nullable()
    .default(null),
  name: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and hyphens')
    .nullable()
    .default(null),
  segment,
  vnis: z.array(z.int().min(0).max(0xffffff)).max(8).default([]),
  count: z.enum(['strict', 'each']).default('strict'),
  underlay: z.array(z.string().min(1).max(64)).max(8).default([]),
  allow: z
    .array(z.enum(['bridge']))
    .max(8)
    .default([]),
  nodeLifeMs: z.int().min(10_000).max(MAX_TTL_MS).nullable().default(null),
  seeds: z.array(z.string().min(1).max(330)).max(4).default([]),
});

const vtepRequest = z.strictObject({
  address: z
    .string()
    .max(64)
    .refine((text) => canonicalIp(text) !== null || parseEndpoint(text, 1) !== null, 'must be IP or IP:PORT'),
  segment,
});

const policyRequest = z.strictObject({
  nodeLifeMs: z.int().min(60_000).max(MAX_TTL_MS).nullable().default(null),
  leewayMs: z.int().min(1000).max(MAX_LEEWAY_MS).nullable().default(null),
  segment,
  mode: z.enum(['sealed', 'plain']).nullable().default(null),
  suite: z.enum(['chacha20-poly1305', 'aes-256-gcm']).nullable().default(null),
});

const rotateRequest = z.strictObject({ finish: z.boolean().default(false) });

const hostName = z.string().min(1).max(64);

const recoverRequest = z.strictObject({
  key: z.string().min(1).max(4096),
  stolenFrom: hostName.nullable().default(null),
  keep: z.array(hostName).max(32).default([]),
  finish: z.boolean().default(false),
});

const revokeRequest = z.strictObject({
  kind: z.enum(['node', 'token', 'admitter', 'name']),
  what: z.string().min(1).max(64),
  reason: z
    .string()
    .max(120)
    .regex(/^[\x20-\x7e]*$/, 'must be printable ASCII')
    .default(''),
  keep: z.array(z.string().min(1).max(64)).max(32).default([]),
});

const admitterRequest = z.strictObject({ name: z.string().min(1).max(64) });

const pingRequest = z.strictObject({
  peer: z.string().min(1).max(63),
  sizeBytes: z.int().min(1).max(65_535).nullable().default(null),
});

/** Twice the bytes of a frame's beginning: enough for all its headers. */
const MAX_FRAME_DIGITS = 4096;

const traceRequest = z
  .strictObject({
    direction: z.enum(['out', 'in']),
    peer: z.string().min(1).max(64).nullable().default(null),
    frame: z
      .string()
      .min(2)
      .max(MAX_FRAME_DIGITS)
      .regex(/^([0-9a-fA-F]{2})+$/, 'must be whole bytes in hex'),
    sizeBytes: z.int().min(1).max(65_535).nullable().default(null),
  })
  .refine(({ direction, peer }) => (direction === 'in') === (peer !== null), {
    path: ['peer'],
    message: 'is needed for a frame that comes in, and only then',
  });

export async function readTraceRequest(request: IncomingMessage): Promise<TraceRequest> {
  return check(traceRequest, await readJson(request));
}

export async function readPolicyRequest(request: IncomingMessage): Promise<PolicyRequest> {
  return check(policyRequest, await readJson(request));
}

export async function readRotateRequest(request: IncomingMessage): Promise<RotateRequest> {
  return check(rotateRequest, await readJson(request));
}

export async function readRecoverRequest(request: IncomingMessage): Promise<RecoverRequest> {
  return check(recoverRequest, await readJson(request));
}

export async function readRevokeRequest(request: IncomingMessage): Promise<RevokeRequest> {
  return check(revokeRequest, await readJson(request));
}

export async function readAdmitterRequest(request: IncomingMessage): Promise<AdmitterRequest> {
  return check(admitterRequest, await readJson(request));
}

export async function readPingRequest(request: IncomingMessage): Promise<PingRequest> {
  return check(pingRequest, await readJson(request));
}

export async function readTokenRequest(request: IncomingMessage): Promise<TokenRequest> {
  return check(tokenRequest, await readJson(request));
}

export async function readVtepRequest(request: IncomingMessage): Promise<VtepRequest> {
  return check(vtepRequest, await readJson(request));
}

/** @throws WeftError E_REQUEST naming the first field that is wrong */
function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.path.join('.') || 'request body';
  throw new WeftError('E_REQUEST', `${field}: ${issue?.message ?? 'is not valid'}`);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const type = request.headers['content-type'] ?? 'application/json';
  if (!/^application\/json\b/i.test(type)) throw new BodyError(415, 'the body must be application/json');
  const chunks: Buffer[] = []; // bounded by MAX_BODY_BYTES
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new BodyError(413, `the body is longer than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new WeftError('E_REQUEST', 'the body is no JSON');
  }
}
