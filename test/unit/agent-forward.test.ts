/** Admissions that a seed passes on: whom it asks, how often, what it says when nobody answers, and what it never does. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Forward } from '../../agent/agent-forward.ts';
import { decodeAdmissionReply, encodeRefused, REFUSAL } from '../../agent/identity/admission-reply.ts';
import {
  decodeForwardedReply,
  decodeForwardedRequest,
  encodeForwardedReply,
  encodeForwardedRequest,
} from '../../agent/identity/forwarded.ts';
import { sodiumReady, toHex } from '../../agent/identity/sodium.ts';
import { World } from './identity-world.ts';

await sodiumReady;

interface Told {
  readonly id: string;
  readonly reply: boolean;
  readonly body: Uint8Array;
}

let world: World;
let told: Told[];
let answers: { readonly joinId: number; readonly reply: Uint8Array }[];
let reached: string[];
let decision: Uint8Array | null;
let nowMs: number;
let forward: Forward;
let counting: string;
let tokenCert: Uint8Array;
const request = new Uint8Array([7, 7, 7]);
const dhPk = new Uint8Array(32).fill(9);
const fromIp = '192.0.2.7';
const joiner = () => ({ tokenCert, request, dhPk, fromIp });

beforeEach(() => {
  world = new World();
  const token = world.token();
  tokenCert = token.cert.record.bytes;
  counting = toHex(token.cert.admitterId);
  told = [];
  answers = [];
  reached = [counting];
  decision = null;
  nowMs = 1000;
  forward = new Forward({
    meshId: token.meshId,
    roots: () => [token.rootPk],
    selfName: 'beta',
    clock: { ...world.clock, monotonicMs: () => nowMs } as never,
    rng: world.rng,
    admitters: () => reached,
    nameOf: () => 'alpha',
    tell: (id, reply, body) => told.push({ id, reply, body }),
    answer: (joinId, reply) => answers.push({ joinId, reply }),
    decide: () => decision,
  });
});

const refusal = (reply: Uint8Array | undefined) => {
  const answer = decodeAdmissionReply(reply ?? new Uint8Array(0));
  assert.ok(answer !== null && !answer.admitted);
  return answer;
};

test('what this host may decide is answered here and goes nowhere else', () => {
  decision = new Uint8Array([1]);
  forward.joinRequest(5, joiner());
  assert.deepEqual([told.length, answers], [0, [{ joinId: 5, reply: decision }]]);
});

test('the admitter that counts is asked, and its answer is passed back once', () => {
  forward.joinRequest(5, joiner());
  const [asked] = told;
  assert.ok(asked !== undefined && asked.id === counting && !asked.reply);
  const forwarded = decodeForwardedRequest(asked.body);
  assert.ok(forwarded !== null);
  const { ask: _, ...passed } = forwarded;
  assert.deepEqual(passed, joiner());
  const reply = new Uint8Array([1, 2, 3]);
  const body = encodeForwardedReply({ ask: forwarded.ask, reply });
  forward.message('another member', true, body);
  assert.equal(answers.length, 0, 'only the one who was asked may answer');
  forward.message(counting, true, body);
  forward.message(counting, true, body);
  assert.deepEqual(answers, [{ joinId: 5, reply }]);
});

test('a lost request is sent again each second, and given up with the name of the admitter', () => {
  forward.joinRequest(5, joiner());
  for (const at of [1500, 2000, 3000]) {
    nowMs = at;
    forward.tick(nowMs);
  }
  assert.equal(told.length, 3);
  nowMs = 4000;
  forward.tick(nowMs);
  const answer = refusal(answers[0]?.reply);
  assert.equal(answer.code, REFUSAL.admitterUnreachable);
  assert.match(answer.text, /beta cannot reach alpha/);
  assert.equal(told.length, 3);
});

test('without a session with the admitter the refusal is immediate', () => {
  reached = ['f'.repeat(64)];
  forward.joinRequest(5, joiner());
  assert.equal(refusal(answers[0]?.reply).code, REFUSAL.admitterUnreachable);
  assert.equal(told.length, 0);
});

test('a token that each admitter counts goes to any of them', () => {
  reached = ['f'.repeat(64)];
  forward.joinRequest(5, { ...joiner(), tokenCert: world.token({ count: 'each' }).cert.record.bytes });
  assert.equal(told[0]?.id, 'f'.repeat(64));
});

test('a token that each admitter counts goes to the next one when the first is silent or is none any more', () => {
  const others = ['e'.repeat(64), 'f'.repeat(64)];
  reached = [...others, counting];
  const each = { ...joiner(), tokenCert: world.token({ count: 'each' }).cert.record.bytes };
  forward.joinRequest(5, each);
  assert.deepEqual(
    told.map(({ id }) => id),
    [counting],
    'the one that made it comes first',
  );
  nowMs = 2000;
  forward.tick(nowMs);
  assert.equal(told[1]?.id, others[0]);
  const forwarded = decodeForwardedRequest(told[1]?.body ?? new Uint8Array(0));
  const ask = forwarded?.ask ?? new Uint8Array(8);
  const none = encodeForwardedReply({ ask, reply: encodeRefused('notAdmitter', 'not any more') });
  forward.message(others[0] ?? '', true, none);
  assert.deepEqual([told[2]?.id, answers.length], [others[1], 0]);
  // Whoever answers first decides, also the one that seemed silent.
  const reply = new Uint8Array([1, 2, 3]);
  forward.message(counting, true, encodeForwardedReply({ ask, reply }));
  assert.deepEqual(answers, [{ joinId: 5, reply }]);
});

test('with no admitter in reach the refusal of such a token names none', () => {
  reached = [];
  forward.joinRequest(5, { ...joiner(), tokenCert: world.token({ count: 'each' }).cert.record.bytes });
  assert.match(refusal(answers[0]?.reply).text, /beta cannot reach any admitter/);
});

test('a forwarded request is decided or refused, never passed on again', () => {
  const ask = new Uint8Array(8).fill(3);
  forward.message('seed', false, encodeForwardedRequest({ ask, ...joiner() }));
  const [answer] = told;
  assert.ok(answer?.reply === true && answer.id === 'seed' && told.length === 1);
  const reply = decodeForwardedReply(answer.body);
  assert.deepEqual(reply?.ask, ask);
  assert.equal(refusal(reply?.reply).code, REFUSAL.notAdmitter);
});

test('garbage inside a session, and more requests than fifty a second, are left unanswered', () => {
  for (const body of [
    new Uint8Array(0),
    new Uint8Array([1]),
    new Uint8Array([2, 0, 0]),
    new Uint8Array(1100),
  ]) {
    forward.message('seed', false, body);
    forward.message('seed', true, body);
  }
  assert.deepEqual([told.length, answers.length], [0, 0]);
  const body = encodeForwardedRequest({ ask: new Uint8Array(8), ...joiner() });
  for (let i = 0; i < 200; i++) forward.message('seed', false, body);
  assert.equal(told.length, 50);
});

test('no more than 64 requests wait at once', () => {
  for (let i = 0; i < 70; i++) forward.joinRequest(i, joiner());
  assert.equal(answers.length, 6);
  assert.equal(refusal(answers[0]?.reply).code, REFUSAL.tooFast);
});
