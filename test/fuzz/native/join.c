/*
 * Joining neighbours. Input: flags, the first frame's length and bytes, then up to 66 followers, each made of a verb and a
 * payload length: the first frame's headers with the numbers that a neighbour has (so that runs grow long), the same with one
 * byte changed, or a frame of its own.
 *
 * What must hold: a run of more than one, cut again by split.c with the header that join_finish wrote, gives back every
 * frame that went into it, byte for byte (but the identification under DF and the two ways to write a checksum of zero).
 */
#include "../../../tun-tap/native/checksum.h"
#include "../../../tun-tap/native/join.h"
#include "../../../tun-tap/native/split.h"
#include "input.h"

#define PARTIAL 1
#define REPAIR_CHECKSUMS 2
#define FOLLOWERS 66
/* Enough for the followers to fill a run of 64 KiB before there are 64 of them, and no more: long frames are slow. */
#define PAYLOAD_BYTES 2048

enum verb { NEIGHBOUR, BENT, OWN, OTHER_PARTIAL, VERBS };

struct piece {
  uint8_t *bytes;
  size_t len;
};

/* Of the run that is open: what a run may hold, and one frame that it then refuses. */
static uint8_t payload[2 * 65536];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t get16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return get16(p) << 16 | get16(p + 2); }

static void put16(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

/* Right lengths and checksums in what the fuzzer bent, as far as it parses. */
static void finish(uint8_t *f, size_t len) {
  struct frame_view v;
  if (len < 34) return;
  if (get16(f + 12) == 0x0800) {
    put16(f + 16, (uint32_t)(len - 14));
    put16(f + 24, 0);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(f + 14, 20, 0));
    memcpy(f + 24, &sum, 2);
  } else if (get16(f + 12) == 0x86dd && len >= 54) {
    put16(f + 18, (uint32_t)(len - 54));
  }
  if (!frame_parse(f, len, &v)) return;
  if (v.protocol == 17) put16(f + v.l4 + 4, (uint32_t)(v.l3 + v.ip_len - v.l4));
  uint8_t *field = f + v.l4 + frame_checksum_offset(v.protocol);
  put16(field, 0);
  uint64_t all = checksum_add(f + v.l4, (size_t)(v.l3 + v.ip_len - v.l4), frame_pseudo(f, &v));
  uint16_t sum = (uint16_t)~checksum_fold(all);
  if (sum == 0) sum = 0xffff;
  memcpy(field, &sum, 2);
}

/* The first frame's headers, `sent` payload bytes and `count` frames further on. */
static struct piece neighbour(struct input *in, const struct piece *first, const struct frame_view *v, size_t n,
                              uint32_t sent, uint32_t count) {
  struct piece p = {NULL, v->header + n};
  p.bytes = calloc(p.len, 1);
  if (!p.bytes) abort();
  memcpy(p.bytes, first->bytes, v->header);
  size_t some = n < in->left ? n : in->left;
  if (some > 8) some = 8;
  memcpy(p.bytes + v->header, in->at, some);
  in->at += some;
  in->left -= some;
  if (v->version == 4) put16(p.bytes + v->l3 + 4, get16(first->bytes + v->l3 + 4) + count);
  if (v->protocol == 6) {
    uint32_t sequence = get32(first->bytes + v->l4 + 4) + sent;
    put16(p.bytes + v->l4 + 4, sequence >> 16);
    put16(p.bytes + v->l4 + 6, sequence);
  }
  return p;
}

/* Equal but for what a cut may write differently without saying anything else. */
static void check_same(const uint8_t *cut, const struct piece *was, const struct frame_view *v, int partial) {
  uint8_t *a = malloc(was->len), *b = malloc(was->len);
  if (!a || !b) abort();
  memcpy(a, cut, was->len);
  memcpy(b, was->bytes, was->len);
  size_t field = v->l4 + frame_checksum_offset(v->protocol);
  if (v->version == 4) {
    if (a[v->l3 + 6] & 0x40) {
      put16(a + v->l3 + 4, 0);
      put16(b + v->l3 + 4, 0);
    }
    MUST(checksum_fold(checksum_add(cut + v->l3, 20, 0)) == 0xffff);
    put16(a + v->l3 + 10, 0);
    put16(b + v->l3 + 10, 0);
  }
  if (partial || get16(a + field) == 0 || get16(b + field) == 0 || get16(a + field) == 0xffff) {
    put16(a + field, 0);
    put16(b + field, 0);
  }
  MUST(memcmp(a, b, was->len) == 0);
  free(a);
  free(b);
}

/* `was[0..count)` are copies of the frames that `run` was made of. */
static void check_run(struct run *run, const struct piece *was, size_t count) {
  struct virtio_net_hdr h;
  struct split s;
  int joined = join_finish(run, &h);
  MUST(run->segments == count);
  if (run->segments == 1) {
    MUST(joined || run->partial);
    return;
  }
  size_t header = run->view.header, len = header + run->payload;
  uint8_t *super = malloc(len);
  if (!super) abort();
  memcpy(super, run->frame, header);
  memcpy(super + header, payload, run->payload);
  MUST(joined && run->segments <= JOIN_MAX_SEGMENTS && len - run->view.l3 <= 65535);
  MUST(split_plan(&s, super, len, &h, 0) && s.segments == run->segments);
  for (uint32_t i = 0; i < s.segments; i++) {
    size_t n, at = split_payload(&s, i, &n);
    uint8_t *cut = malloc(header + n);
    if (!cut) abort();
    MUST(header + n == was[i].len);
    memcpy(cut + header, super + at, n);
    split_stamp(&s, i, cut, run->partial ? NULL : cut + header);
    check_same(cut, &was[i], &run->view, run->partial);
    free(cut);
  }
  free(super);
}

static struct piece copy_of(const uint8_t *bytes, size_t len) {
  struct piece p = {malloc(len ? len : 1), len};
  if (!p.bytes) abort();
  memcpy(p.bytes, bytes, len);
  return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input in = {data, size};
  struct piece frame[FOLLOWERS + 1], was[FOLLOWERS + 1];
  struct frame_view v;
  struct run run;
  uint32_t flags = input_u8(&in);
  int partial = flags & PARTIAL;
  size_t payload_len = 0, begun = 0, count = 1;
  frame[0].bytes = input_bytes(&in, input_u16(&in), &frame[0].len);
  if (flags & REPAIR_CHECKSUMS) finish(frame[0].bytes, frame[0].len);
  int parsed = frame_parse(frame[0].bytes, frame[0].len, &v) && (size_t)v.l3 + v.ip_len == frame[0].len;
  was[0] = copy_of(frame[0].bytes, frame[0].len);
  join_begin(&run, frame[0].bytes, frame[0].len, partial);
  if (run.open) memcpy(payload, frame[0].bytes + v.header, payload_len = frame[0].len - v.header);
  uint32_t sent = parsed ? (uint32_t)(frame[0].len - v.header) : 0;
  while (in.left > 0 && count <= FOLLOWERS) {
    uint32_t verb = input_u8(&in) % VERBS;
    size_t n = input_u16(&in) % PAYLOAD_BYTES;
    int is_partial = verb == OTHER_PARTIAL ? !partial : partial;
    if (verb == OWN || !parsed) {
      frame[count].bytes = input_bytes(&in, n, &frame[count].len);
    } else {
      frame[count] = neighbour(&in, &was[0], &v, n, sent, (uint32_t)count);
      sent += (uint32_t)n;
    }
    if (flags & REPAIR_CHECKSUMS) finish(frame[count].bytes, frame[count].len);
    if (verb == BENT && frame[count].len > 0) {
      size_t where = input_u16(&in) % frame[count].len;
      frame[count].bytes[where] ^= (uint8_t)input_u8(&in);
    }
    was[count] = copy_of(frame[count].bytes, frame[count].len);
    size_t at = join_extend(&run, frame[count].bytes, frame[count].len, is_partial);
    if (at) {
      MUST(payload_len + frame[count].len - at <= 65535);
      memcpy(payload + payload_len, frame[count].bytes + at, frame[count].len - at);
      payload_len += frame[count].len - at;
    } else {
      check_run(&run, was + begun, count - begun);
      begun = count;
      join_begin(&run, frame[count].bytes, frame[count].len, is_partial);
      payload_len = 0;
      if (run.open) {
        payload_len = frame[count].len - run.view.header;
        memcpy(payload, frame[count].bytes + run.view.header, payload_len);
      }
    }
    count++;
  }
  check_run(&run, was + begun, count - begun);
  for (size_t i = 0; i < count; i++) {
    free(frame[i].bytes);
    free(was[i].bytes);
  }
  return 0;
}
