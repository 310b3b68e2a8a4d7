/*
 * The receive path from a message of the socket to the write to the TAP: type, sizes, index, flags, window, cipher, joining,
 * repairing. The file under test is included whole, because its parts are private; only Node is missing (no-node-api.c).
 *
 * Input: one byte (plain or sealed port, joining), then messages: how it is made, its UDP_GRO size, length, bytes. A
 * message is either raw bytes as they came, or sealed here under a key that the receiver knows, so that the fuzzer gets past
 * the cipher. Frames that pass are given on as agent/datapath/receive.ts does: inner frame behind the encapsulation
 * header, partial or to be repaired.
 */
#include "../../../tun-tap/native/receive.c"

#include "input.h"

#include <fcntl.h>

#define SLOTS 4
#define DESCRIPTORS (SLOTS * 64)
#define INDEX_AES 0x12345670u
#define INDEX_CHACHA 0x0badcaf0u
#define MTU 1390
#define MESSAGE_MAX 8192

enum make { RAW, SEALED_AES, SEALED_CHACHA, SEALED_LANE_1, MAKES };

static uint8_t memory[(size_t)SLOTS * SLOT_BYTES];
static int32_t descriptors[DESCRIPTORS * DESC_STRIDE], senders[DESCRIPTORS * FROM_STRIDE];
static struct receiver receiver;
static struct iovec pieces[DESCRIPTORS];
static struct run runs[DESCRIPTORS];
static uint32_t firsts[DESCRIPTORS];
static struct aead *seals[MAKES];
static int nowhere = -1;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start_once(void) {
  uint8_t keys[LANES * AEAD_KEY_BYTES] = {1, 2, 3};
  if (nowhere >= 0) return;
  nowhere = open("/dev/null", O_WRONLY);
  receiver.batch = (struct batch){SLOTS, DESCRIPTORS, memory, descriptors, senders};
  receiver.run = runs;
  receiver.first = firsts;
  receiver.piece = pieces;
  MUST(nowhere >= 0 && sessions_init(&receiver.sessions, 4, 0, 1));
  MUST(sessions_install(&receiver.sessions, INDEX_AES, SUITE_AES_256_GCM, KIND_VXLAN, keys, 0x8003, 7));
  MUST(sessions_install(&receiver.sessions, INDEX_CHACHA, SUITE_CHACHA20_POLY1305, KIND_GENEVE, keys, 0x8001, 8));
  MUST((seals[SEALED_AES] = aead_new(SUITE_AES_256_GCM, keys, 1)));
  MUST((seals[SEALED_CHACHA] = aead_new(SUITE_CHACHA20_POLY1305, keys, 1)));
  MUST((seals[SEALED_LANE_1] = aead_new(SUITE_AES_256_GCM, keys + AEAD_KEY_BYTES, 1)));
}

/* The windows of all lanes as they were at the start, so that every input runs alone. */
static void forget(void) {
  const uint32_t indices[] = {INDEX_AES, INDEX_CHACHA};
  for (size_t i = 0; i < 2; i++) {
    struct session *s = sessions_find(&receiver.sessions, indices[i]);
    for (int lane = 0; lane < LANES; lane++)
      if (s->lane[lane]) memset(&s->lane[lane]->window, 0, sizeof s->lane[lane]->window);
  }
  memset(&receiver.mss, 0, sizeof receiver.mss);
  receiver.described = 0;
  receiver.pieces = 0;
}

/* Seals the `len` bytes at p + SEAL_HEADER in place. Header fields come from the input, so most say something wrong too. */
static size_t seal(struct input *in, uint32_t make, uint8_t *p, size_t len) {
  int is_chacha = make == SEALED_CHACHA;
  uint32_t bent = input_u8(in), index = (is_chacha ? INDEX_CHACHA : INDEX_AES) | (make == SEALED_LANE_1);
  uint64_t counter = input_u16(in);
  int suite = is_chacha ? SUITE_CHACHA20_POLY1305 : SUITE_AES_256_GCM, inner = is_chacha ? KIND_GENEVE : KIND_VXLAN;
  if (bent & 1) index |= LANE_CONTROL;
  if (bent & 2) inner = 0;
  if (bent & 4) suite = 3 - suite;
  if (bent & 8) counter |= COUNTER_LIMIT - 4;
  seal_header(p, suite, inner, (int)(bent >> 4), index, counter);
  MUST(aead_seal(seals[make], counter, p, SEAL_HEADER, p + SEAL_HEADER, len, p + SEAL_HEADER));
  return SEAL_HEADER + len + AEAD_TAG_BYTES;
}

/* What the kernel would have put into slot m. */
static void take_message(struct input *in, uint32_t m, int plain_port, int geneve) {
  uint32_t make = plain_port ? RAW : input_u8(in) % MAKES;
  size_t size = input_u16(in), want = input_u16(in), got;
  uint8_t *slot = batch_slot(&receiver.batch, m);
  memset(&receiver.from[m], 0, sizeof receiver.from[m]);
  uint8_t *bytes = input_bytes(in, want < MESSAGE_MAX ? want : MESSAGE_MAX, &got);
  memcpy(slot + (make == RAW ? 0 : SEAL_HEADER), bytes, got);
  free(bytes);
  size_t left = make == RAW ? got : seal(in, make, slot, got);
  if (size == 0 || size > left || make != RAW) size = left;
  do {
    size_t len = left < size ? left : size;
    if (receiver.described == receiver.batch.frames) break;
    if (plain_port) {
      int32_t *d = describe(&receiver, m, slot, len);
      d[D_KIND] = KIND_PLAIN;
      d[D_STATUS] = len ? RECV_OK : RECV_GARBAGE;
      join_or_keep(&receiver, d, geneve, 0);
    } else {
      take_sealed(&receiver, m, slot, len);
    }
    slot += len;
    left -= len;
  } while (left > 0);
}

/* As agent/datapath/receive.ts decides: everything whole goes to the TAP. */
static void give_on(uint32_t i, int geneve) {
  int32_t *d = batch_desc(&receiver.batch, i);
  const uint8_t *p = memory + d[D_OFF];
  MUST(batch_holds(&receiver.batch, d[D_OFF], d[D_LEN]));
  MUST(d[D_SEGMENTS] >= 1 && d[D_SEGMENTS] <= JOIN_MAX_SEGMENTS);
  if (d[D_STATUS] != RECV_OK || d[D_KIND] < KIND_VXLAN || d[D_KIND] > KIND_PLAIN) return;
  size_t encap = d[D_LEN] > 8 ? encap_length(p, (size_t)d[D_LEN], d[D_KIND] == KIND_PLAIN ? geneve : d[D_KIND] == KIND_GENEVE) : 0;
  if (!encap) return;
  d[D_OFF] += (int32_t)encap;
  d[D_LEN] -= (int32_t)encap;
  d[D_FLAGS] = d[D_KIND] == KIND_PLAIN ? F_REPAIR : p[7] & 0x80 ? F_PARTIAL : 0;
  int32_t status = write_frame(&receiver, nowhere, i, d, MTU);
  MUST(status == RECV_OK || status == RECV_CSUM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input in = {data, size};
  start_once();
  forget();
  uint32_t how = input_u8(&in);
  int plain_port = how & 1, geneve = (how & 2) != 0;
  receiver.joining = (how & 4) == 0;
  for (uint32_t m = 0; m < SLOTS && in.left > 0; m++) take_message(&in, m, plain_port, geneve);
  MUST(receiver.described <= receiver.batch.frames && receiver.pieces <= receiver.batch.frames);
  for (uint32_t i = 0; i < receiver.described; i++) give_on(i, geneve);
  return 0;
}
