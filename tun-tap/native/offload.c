/*
 * Split and join for callers outside the data path (offload.ts: tests against the TypeScript twins, micro-benchmarks):
 * the very functions that transmit.c and receive.c use, on frames in ordinary memory.
 */
#include "native.h"

#include "args.h"
#include "join.h"
#include "repair.h"
#include "split.h"

#include <errno.h>
#include <sys/uio.h>
#include <string.h>

#define PARTIAL 0x80000000u /* highest bit of a frame's length in a list */

static void put32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}
static uint32_t get32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/*
 * splitFrame(frame, flags, gsoType, gsoSize, csum, maxPacket, complete, into) -> bytes written to `into`, -1 if refused:
 * u32 length and bytes of each segment. csum = csum_start | csum_offset << 16
 */
static napi_value split_frame(napi_env env, napi_callback_info info) {
  struct args a;
  uint8_t *frame, *into;
  size_t len, room, used = 0;
  int64_t flags, type, size, csum, max, complete;
  struct split s;
  if (!args_read(env, info, 8, &a) || !args_bytes(env, a.at[0], &frame, &len) || !args_int(env, a.at[1], &flags) ||
      !args_int(env, a.at[2], &type) || !args_int(env, a.at[3], &size) || !args_int(env, a.at[4], &csum) ||
      !args_int(env, a.at[5], &max) || !args_int(env, a.at[6], &complete) || !args_bytes(env, a.at[7], &into, &room))
    return NULL;
  struct virtio_net_hdr h = {.flags = (uint8_t)flags, .gso_type = (uint8_t)type, .gso_size = (uint16_t)size,
                             .csum_start = (uint16_t)csum, .csum_offset = (uint16_t)(csum >> 16)};
  if (!split_plan(&s, frame, len, &h, (size_t)max)) return value_int(env, -1);
  for (uint32_t i = 0; i < s.segments; i++) {
    size_t n, at = split_payload(&s, i, &n), total = s.view.header + n;
    if (room - used < 4 + total) return throw_errno(env, "splitFrame: room", ENOSPC);
    put32(into + used, (uint32_t)total);
    split_stamp(&s, i, into + used + 4, complete ? frame + at : NULL);
    memcpy(into + used + 4 + s.view.header, frame + at, n);
    used += 4 + total;
  }
  return value_int(env, (int64_t)used);
}

/* Bytes of one joined frame: u32 length, u16 segments, u8 flags, u8 gso type, u16 gso size, start, offset; then itself. */
static size_t put_run(uint8_t *to, size_t room, struct run *r, const struct iovec *pieces) {
  struct virtio_net_hdr h;
  size_t total = r->len, at;
  if (!join_finish(r, &h)) memset(&h, 0, sizeof h);
  for (uint32_t k = 0; k + 1 < r->segments; k++) total += pieces[k].iov_len;
  if (room < 14 + total) return 0;
  put32(to, (uint32_t)total);
  put32(to + 4, r->segments << 16 | (uint32_t)h.flags << 8 | h.gso_type);
  put32(to + 8, (uint32_t)h.gso_size << 16 | h.csum_start);
  to[12] = (uint8_t)(h.csum_offset >> 8);
  to[13] = (uint8_t)h.csum_offset;
  memcpy(to + 14, r->frame, r->len);
  at = 14 + r->len;
  for (uint32_t k = 0; k + 1 < r->segments; k++) {
    memcpy(to + at, pieces[k].iov_base, pieces[k].iov_len);
    at += pieces[k].iov_len;
  }
  return at;
}

/* joinFrames(list, into) -> bytes written. list: u32 (partial bit, length) and bytes of each frame; it is overwritten. */
static napi_value join_frames(napi_env env, napi_callback_info info) {
  struct args a;
  uint8_t *list, *into;
  size_t len, room, used = 0;
  struct run run;
  struct iovec pieces[JOIN_MAX_SEGMENTS];
  int open = 0;
  if (!args_read(env, info, 2, &a) || !args_bytes(env, a.at[0], &list, &len) || !args_bytes(env, a.at[1], &into, &room))
    return NULL;
  for (size_t at = 0; at + 4 <= len;) {
    uint32_t word = get32(list + at), n = word & ~PARTIAL;
    uint8_t *frame = list + at + 4;
    if (n > len - at - 4) return throw_errno(env, "joinFrames: list", EINVAL);
    at += 4 + n;
    size_t payload = open ? join_extend(&run, frame, n, (word & PARTIAL) != 0) : 0;
    if (payload) {
      pieces[run.segments - 2] = (struct iovec){frame + payload, n - payload};
      continue;
    }
    size_t put = open ? put_run(into + used, room - used, &run, pieces) : 1;
    if (!put) return throw_errno(env, "joinFrames: room", ENOSPC);
    used += open ? put : 0;
    join_begin(&run, frame, n, (word & PARTIAL) != 0);
    open = 1;
  }
  if (open) {
    size_t put = put_run(into + used, room - used, &run, pieces);
    if (!put) return throw_errno(env, "joinFrames: room", ENOSPC);
    used += put;
  }
  return value_int(env, (int64_t)used);
}

int offload_register(napi_env env, napi_value exports) {
  return args_method(env, exports, "splitFrame", split_frame) && args_method(env, exports, "joinFrames", join_frames);
}
