/*
 * A frame batch: the memory that C and TypeScript share for one worker. `capacity` slots, each
 *
 *   | headroom 128 | frame, up to 64 KiB + 64 | tailroom 64 |
 *
 * and `frames` descriptors of DESC_STRIDE 32-bit words (frame-batch.ts names the words; this header must agree with it). On
 * the way out descriptor i belongs to slot i. On the way in a slot may hold many datagrams (UDP_GRO), so there are more.
 * The headroom takes the encapsulation header that TypeScript writes directly before a frame, so that header and frame
 * are contiguous; the tailroom leaves space for an AEAD tag. Pages of a slot that no frame has touched cost no memory.
 */
#ifndef TUN_TAP_BATCH_H
#define TUN_TAP_BATCH_H

#include <node_api.h>
#include <stdint.h>

#define SLOT_HEADROOM 128
#define SLOT_FRAME (65536 + 64)
#define SLOT_TAILROOM 64
#define SLOT_BYTES (SLOT_HEADROOM + SLOT_FRAME + SLOT_TAILROOM)
#define BATCH_MAX_FRAMES 256
#define BATCH_MAX_DESCRIPTORS (BATCH_MAX_FRAMES * 64)

#define DESC_STRIDE 16
#define FROM_STRIDE 6

enum desc_word {
  D_OFF, D_LEN, D_STATUS, D_TUNNEL, D_KIND, D_LANE, D_FLAGS, D_DST_HI,
  D_DST_LO, D_SRC_HI, D_SRC_LO, D_ETHERTYPE, D_FLOW_HASH, D_HDR, D_GSO, D_CSUM,
  /* receive: a run of segments, of which OFF and LEN are the first */
  D_SEGMENTS = D_DST_HI, D_FIRST = D_DST_LO, D_BYTES = D_SRC_HI, D_WIRE = D_SRC_LO
};

enum desc_flag { F_NEEDS_CSUM = 1, F_PARTIAL = 2, F_REPAIR = 4, F_FROM_LISTENER = 8 };

enum send_status {
  SEND_OK, SEND_NO_TUNNEL, SEND_EXHAUSTED, SEND_TOO_BIG, SEND_BUSY,
  SEND_UNREACHABLE, SEND_REFUSED, SEND_ERROR, SEND_CSUM, SEND_SPLIT
};

enum recv_status {
  RECV_OK, RECV_GARBAGE, RECV_UNKNOWN, RECV_MISMATCH, RECV_REPLAY, RECV_AUTH,
  RECV_LANE, RECV_CSUM, RECV_TAP_DOWN, RECV_TAP_FULL, RECV_TAP_ERROR
};

enum recv_kind {
  KIND_CONTROL = 0, KIND_VXLAN = 1, KIND_GENEVE = 2, KIND_PLAIN = 3,
  KIND_HANDSHAKE_INIT = 17, KIND_HANDSHAKE_RESPONSE = 18, KIND_COOKIE = 19,
  KIND_RESET = 21, KIND_UNKNOWN_INDEX = 22
};

/* Views into memory that JavaScript allocated; the owner keeps a reference to it for as long as it uses them. */
struct batch {
  uint32_t capacity; /* slots */
  uint32_t frames;   /* descriptors */
  uint8_t *bytes;
  int32_t *desc;
  int32_t *from;
};

static inline uint8_t *batch_slot(const struct batch *b, uint32_t i) {
  return b->bytes + (size_t)i * SLOT_BYTES + SLOT_HEADROOM;
}
static inline int32_t *batch_desc(const struct batch *b, uint32_t i) { return b->desc + (size_t)i * DESC_STRIDE; }
static inline int32_t *batch_from(const struct batch *b, uint32_t i) { return b->from + (size_t)i * FROM_STRIDE; }

/* True if desc's OFF and LEN, widened by `before` bytes, lie inside slot i: TypeScript is trusted, its arithmetic is not. */
static inline int batch_inside(const struct batch *b, uint32_t i, int64_t off, int64_t len, int64_t before) {
  int64_t start = (int64_t)i * SLOT_BYTES, end = start + SLOT_BYTES;
  (void)b;
  return len >= 0 && before >= 0 && off - before >= start && off + len <= end;
}

/* True if [off, off + len) lies inside one slot, whichever. */
static inline int batch_holds(const struct batch *b, int64_t off, int64_t len) {
  if (off < 0 || len < 0 || off >= (int64_t)b->capacity * SLOT_BYTES) return 0;
  return off + len <= (off / SLOT_BYTES + 1) * SLOT_BYTES;
}

/* Reads {capacity, frames, bytes, desc, from} of a FrameBatch object. False (with a pending exception) if it is none. */
int batch_from_object(napi_env env, napi_value object, struct batch *out);

#endif
