/*
 * The way in: receive a batch, open it in place, and write what TypeScript let through to the TAP. Functions stand in the
 * order in which a datagram meets them.
 *
 *   UDP --recvmmsg--> slot: type, sizes, index, flags, window check, open, window set --(TypeScript)--> TAP
 *
 * Everything that can be refused without the cipher is refused before it. The window is asked before opening to save
 * work and set only after the tag has verified, packet by packet, so that a duplicate in the same batch is seen.
 */
#include "sessions.h"

#include "native.h"

#include "address.h"
#include "args.h"
#include "batch.h"
#include "repair.h"
#include "seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>


struct receiver {
  struct batch batch;
  napi_ref batch_ref;
  struct sessions sessions;
  struct mss_cache mss;
  struct mmsghdr message[BATCH_MAX_FRAMES];
  struct iovec iov[BATCH_MAX_FRAMES];
  union address from[BATCH_MAX_FRAMES];
};

static void receiver_free(napi_env env, void *data, void *hint) {
  struct receiver *r = data;
  (void)hint;
  sessions_free(&r->sessions);
  napi_delete_reference(env, r->batch_ref);
  free(r);
}

/* new Receiver(batch, maxSessions, worker, workers) */
static napi_value receiver_new(napi_env env, napi_callback_info info) {
  struct args a;
  struct batch batch;
  int64_t max, worker, workers;
  napi_value self;
  if (!args_read(env, info, 4, &a) || !batch_from_object(env, a.at[0], &batch) || !args_int(env, a.at[1], &max) ||
      !args_int(env, a.at[2], &worker) || !args_int(env, a.at[3], &workers))
    return NULL;
  if (max < 1 || max > SESSIONS_MAX || workers < 1 || worker < 0 || worker >= workers)
    return throw_type(env, "Receiver: maxSessions, worker or workers out of range");
  struct receiver *r = calloc(1, sizeof *r);
  if (!r || !sessions_init(&r->sessions, (uint32_t)max, (int)worker, (int)workers)) {
    free(r);
    return throw_errno(env, "Receiver", ENOMEM);
  }
  r->batch = batch;
  napi_get_cb_info(env, info, NULL, NULL, &self, NULL);
  napi_create_reference(env, a.at[0], 1, &r->batch_ref);
  if (napi_wrap(env, self, r, receiver_free, NULL, NULL) != napi_ok) {
    receiver_free(env, r, NULL);
    return NULL;
  }
  return self;
}

/* install(index, suite, inner, laneKeys, lanes, tunnel) */
static napi_value install(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t index, suite, inner, lanes, tunnel;
  uint8_t *keys;
  size_t n;
  if (!args_read(env, info, 6, &a) || !a.self || !args_int(env, a.at[0], &index) || !args_int(env, a.at[1], &suite) ||
      !args_int(env, a.at[2], &inner) || !args_bytes(env, a.at[3], &keys, &n) || !args_int(env, a.at[4], &lanes) ||
      !args_int(env, a.at[5], &tunnel))
    return NULL;
  if (n != LANES * AEAD_KEY_BYTES || (suite != SUITE_AES_256_GCM && suite != SUITE_CHACHA20_POLY1305))
    return throw_type(env, "install: laneKeys has 16 keys of 32 bytes; suite is 1 or 2");
  struct receiver *r = a.self;
  if (!sessions_install(&r->sessions, (uint32_t)index & ~15u, (int)suite, (int)inner, keys, (uint32_t)lanes,
                        (int32_t)tunnel))
    return throw_errno(env, "install: session table", ENOSPC);
  return value_undefined(env);
}

static napi_value remove_session(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t index;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &index)) return NULL;
  sessions_remove(&((struct receiver *)a.self)->sessions, (uint32_t)index & ~15u);
  return value_undefined(env);
}

/* One recvmmsg into the slots. Returns the count, 0 when nothing was there. */
static int receive_batch(struct receiver *r, int fd) {
  uint32_t n = r->batch.capacity;
  for (uint32_t i = 0; i < n; i++) {
    r->iov[i] = (struct iovec){batch_slot(&r->batch, i), 65535};
    r->message[i].msg_hdr = (struct msghdr){.msg_name = &r->from[i], .msg_namelen = sizeof r->from[i],
                                            .msg_iov = &r->iov[i], .msg_iovlen = 1};
  }
  int got;
  do {
    got = recvmmsg(fd, r->message, n, 0, NULL);
  } while (got < 0 && errno == EINTR);
  return got < 0 ? 0 : got;
}

static int32_t *describe(struct receiver *r, uint32_t i) {
  int32_t *d = batch_desc(&r->batch, i);
  memset(d, 0, DESC_STRIDE * sizeof *d);
  d[D_OFF] = (int32_t)(batch_slot(&r->batch, i) - r->batch.bytes);
  d[D_LEN] = (int32_t)r->message[i].msg_len;
  d[D_TUNNEL] = -1;
  address_words(&r->from[i], batch_from(&r->batch, i));
  return d;
}

/* Types other than sealed data: told by type and size, handed up unread. */
static int32_t classify(const uint8_t *p, size_t len, int32_t *d) {
  int fits = 0;
  switch (p[0]) {
    case 1: fits = len == HANDSHAKE_INIT_BYTES; break;
    case 2: fits = len >= HANDSHAKE_RESPONSE_MIN && len <= HANDSHAKE_RESPONSE_MAX; break;
    case 3: fits = len == COOKIE_BYTES; break;
    case 5: fits = len == RESET_BYTES; break;
    default: break;
  }
  if (!fits) return RECV_GARBAGE;
  d[D_KIND] = 16 + p[0];
  return RECV_OK;
}

/* A sealed datagram, in the order of PROTOCOL: cheap refusals, window, cipher, window. */
static int32_t open_sealed(struct receiver *r, uint8_t *p, size_t len, int32_t *d) {
  uint32_t index = seal_u32(p + 4);
  int lane = (int)(index & 15);
  uint64_t counter = seal_u64(p + 8);
  d[D_LANE] = lane;
  d[D_HDR] = (int32_t)len;
  d[D_GSO] = (int32_t)index;
  d[D_CSUM] = (int32_t)(uint32_t)counter;
  d[D_FLOW_HASH] = (int32_t)(uint32_t)(counter >> 32);
  d[D_KIND] = p[2];
  if (p[3] & FLAG_FROM_LISTENER) d[D_FLAGS] = F_FROM_LISTENER;
  if ((p[2] == 0) != (lane == LANE_CONTROL) || (p[3] & ~FLAG_FROM_LISTENER)) return RECV_MISMATCH;
  struct session *s = sessions_find(&r->sessions, index & ~15u);
  if (!s) {
    d[D_KIND] = KIND_UNKNOWN_INDEX;
    d[D_LEN] = SEAL_HEADER;
    return RECV_UNKNOWN;
  }
  d[D_TUNNEL] = s->tunnel;
  if (p[1] != s->suite || (p[2] != 0 && p[2] != s->inner)) return RECV_MISMATCH;
  if (!sessions_lane_is_ours(&r->sessions, s, lane)) return RECV_LANE;
  struct lane *l = session_lane(s, lane);
  if (!l) return RECV_LANE;
  if (counter >= COUNTER_LIMIT || (lane != LANE_CONTROL && !replay_check(&l->window, counter))) return RECV_REPLAY;
  size_t plain = len - SEAL_HEADER - AEAD_TAG_BYTES;
  if (!aead_open(l->key, counter, p, SEAL_HEADER, p + SEAL_HEADER, plain, p + SEAL_HEADER)) return RECV_AUTH;
  if (lane != LANE_CONTROL && !replay_accept(&l->window, counter)) return RECV_REPLAY;
  d[D_OFF] += SEAL_HEADER;
  d[D_LEN] = (int32_t)plain;
  return RECV_OK;
}

/* receiveSealed(fd) -> datagrams described */
static napi_value receive_sealed(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &fd)) return NULL;
  struct receiver *r = a.self;
  int n = receive_batch(r, (int)fd);
  for (int i = 0; i < n; i++) {
    int32_t *d = describe(r, (uint32_t)i);
    uint8_t *p = batch_slot(&r->batch, (uint32_t)i);
    size_t len = r->message[i].msg_len;
    if (len < 1) d[D_STATUS] = RECV_GARBAGE;
    else if (p[0] != SEAL_TYPE) d[D_STATUS] = classify(p, len, d);
    else if (len < SEAL_MIN) d[D_STATUS] = RECV_GARBAGE;
    else d[D_STATUS] = open_sealed(r, p, len, d);
  }
  return value_int(env, n);
}

/* receivePlain(fd) -> datagrams described; nothing is parsed here */
static napi_value receive_plain(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &fd)) return NULL;
  struct receiver *r = a.self;
  int n = receive_batch(r, (int)fd);
  for (int i = 0; i < n; i++) {
    int32_t *d = describe(r, (uint32_t)i);
    d[D_KIND] = KIND_PLAIN;
    d[D_HDR] = 0;
    d[D_STATUS] = r->message[i].msg_len ? RECV_OK : RECV_GARBAGE;
  }
  return value_int(env, n);
}

static int32_t write_status(int error) {
  switch (error) {
    case EIO: case EBADFD: case ENODEV: return RECV_TAP_DOWN;
    case EAGAIN: case ENOBUFS: case ENOMEM: return RECV_TAP_FULL;
    default: return RECV_TAP_ERROR;
  }
}

static int32_t write_frame(struct receiver *r, int fd, const int32_t *d, size_t mtu) {
  uint8_t *frame = r->batch.bytes + d[D_OFF];
  size_t len = (size_t)d[D_LEN];
  struct virtio_net_hdr h = {0};
  if ((d[D_FLAGS] & F_PARTIAL) && !repair_partial(frame, len, &h)) return RECV_CSUM;
  if ((d[D_FLAGS] & F_REPAIR) && !repair_plain(&r->mss, frame, len, mtu, &h)) return RECV_CSUM;
  struct iovec v[2] = {{&h, VNET_HDR_BYTES}, {frame, len}};
  while (writev(fd, v, 2) < 0)
    if (errno != EINTR) return write_status(errno);
  return RECV_OK;
}

/* writeTap(fd, count, mtu) -> frames written: those with HDR 1 (index.ts: D.HDR = WRITE); STATUS says how it went */
static napi_value write_tap(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd, count, mtu;
  if (!args_read(env, info, 3, &a) || !a.self || !args_int(env, a.at[0], &fd) || !args_int(env, a.at[1], &count) ||
      !args_int(env, a.at[2], &mtu))
    return NULL;
  struct receiver *r = a.self;
  int written = 0;
  for (int64_t i = 0; i < count && i < r->batch.capacity; i++) {
    int32_t *d = batch_desc(&r->batch, (uint32_t)i);
    if (d[D_HDR] != 1) continue;
    if (!batch_inside(&r->batch, (uint32_t)i, d[D_OFF], d[D_LEN], 0)) {
      d[D_STATUS] = RECV_TAP_ERROR;
      continue;
    }
    d[D_STATUS] = write_frame(r, (int)fd, d, (size_t)mtu);
    written += d[D_STATUS] == RECV_OK;
  }
  return value_int(env, written);
}

/* copyOut(frame, into, at, max) -> bytes copied from the payload */
static napi_value copy_out(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t frame, at, max;
  uint8_t *into;
  size_t n;
  if (!args_read(env, info, 4, &a) || !a.self || !args_int(env, a.at[0], &frame) || !args_bytes(env, a.at[1], &into, &n) ||
      !args_int(env, a.at[2], &at) || !args_int(env, a.at[3], &max))
    return NULL;
  struct receiver *r = a.self;
  if (frame < 0 || frame >= r->batch.capacity || at < 0 || max < 0 || (size_t)at > n) return value_int(env, 0);
  const int32_t *d = batch_desc(&r->batch, (uint32_t)frame);
  if (!batch_inside(&r->batch, (uint32_t)frame, d[D_OFF], d[D_LEN], 0)) return value_int(env, 0);
  size_t len = (size_t)d[D_LEN];
  if (len > (size_t)max) len = (size_t)max;
  if (len > n - (size_t)at) len = n - (size_t)at;
  memcpy(into + at, r->batch.bytes + d[D_OFF], len);
  return value_int(env, (int64_t)len);
}

int receive_register(napi_env env, napi_value exports) {
  napi_property_descriptor methods[] = {
      {"install", NULL, install, NULL, NULL, NULL, napi_default, NULL},
      {"remove", NULL, remove_session, NULL, NULL, NULL, napi_default, NULL},
      {"receiveSealed", NULL, receive_sealed, NULL, NULL, NULL, napi_default, NULL},
      {"receivePlain", NULL, receive_plain, NULL, NULL, NULL, napi_default, NULL},
      {"writeTap", NULL, write_tap, NULL, NULL, NULL, napi_default, NULL},
      {"copyOut", NULL, copy_out, NULL, NULL, NULL, napi_default, NULL},
  };
  napi_value type;
  return napi_define_class(env, "Receiver", NAPI_AUTO_LENGTH, receiver_new, NULL, sizeof methods / sizeof *methods,
                           methods, &type) == napi_ok &&
         napi_set_named_property(env, exports, "Receiver", type) == napi_ok;
}
