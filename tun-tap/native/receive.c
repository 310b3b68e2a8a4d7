/*
 * The way in: receive a batch, open it in place, and write what TypeScript let through to the TAP. Functions stand in the
 * order in which a datagram meets them.
 *
 *   UDP --recvmmsg, UDP_GRO--> slot, datagram by datagram: type, sizes, index, flags, window check, open, window set
 *       --join neighbours of a flow--> descriptor --(TypeScript)--> writev --> TAP
 *
 * Everything that can be refused without the cipher is refused before it. The window is asked before opening to save
 * work and set only after the tag has verified, packet by packet, so that a duplicate in the same batch is seen.
 */
#include "sessions.h"

#include "native.h"

#include "address.h"
#include "ahead.h"
#include "args.h"
#include "batch.h"
#include "join.h"
#include "repair.h"
#include "seal.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
/* Received bytes that the second-level cache can still hold while they are opened and written. */
#define BATCH_BYTES (256 * 1024)
#define BATCH_MIN_MESSAGES 8

struct receiver {
  struct batch batch;
  napi_ref batch_ref;
  struct sessions sessions;
  struct mss_cache mss;
  int joining, refused; /* refused: the TAP answered EINVAL to a super-frame */
  uint32_t described; /* descriptors filled by the batch under way */
  uint32_t pieces;
  uint32_t want;        /* messages to ask for next */
  uint32_t prepared;    /* message headers that were ever prepared */
  uint32_t filled;      /* of these, which the last batch has used */
  int full;             /* the last batch was, so more may wait */
  struct run *run;      /* by descriptor */
  uint32_t *first;      /* by descriptor: its payloads after the first frame, in piece */
  struct iovec *piece;
  struct mmsghdr message[BATCH_MAX_FRAMES];
  struct iovec iov[BATCH_MAX_FRAMES];
  union address from[BATCH_MAX_FRAMES];
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t))];
  } control[BATCH_MAX_FRAMES];
};

static void receiver_free(napi_env env, void *data, void *hint) {
  struct receiver *r = data;
  (void)hint;
  sessions_free(&r->sessions);
  free(r->run);
  free(r->first);
  free(r->piece);
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
  if (!r || !(r->run = calloc(batch.frames, sizeof *r->run)) || !(r->first = calloc(batch.frames, sizeof *r->first)) ||
      !(r->piece = calloc(batch.frames, sizeof *r->piece)) ||
      !sessions_init(&r->sessions, (uint32_t)max, (int)worker, (int)workers)) {
    if (r) {
      free(r->run);
      free(r->first);
      free(r->piece);
    }
    free(r);
    return throw_errno(env, "Receiver", ENOMEM);
  }
  r->batch = batch;
  r->want = batch.capacity;
  r->joining = 1;
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

static void prepare_one(struct receiver *r, uint32_t i) {
  r->iov[i] = (struct iovec){batch_slot(&r->batch, i), 65535};
  r->message[i].msg_hdr = (struct msghdr){.msg_name = &r->from[i], .msg_namelen = sizeof r->from[i],
                                          .msg_iov = &r->iov[i], .msg_iovlen = 1,
                                          .msg_control = r->control[i].bytes,
                                          .msg_controllen = sizeof r->control[i].bytes};
}

/* The first n headers as recvmmsg needs them. It writes to those that it fills and leaves the others as they are. */
static void prepare(struct receiver *r, uint32_t n) {
  for (uint32_t i = 0; i < r->filled; i++) prepare_one(r, i);
  while (r->prepared < n) prepare_one(r, r->prepared++);
}

/* One recvmmsg into the slots. Returns the count, 0 when nothing was there. */
static int receive_batch(struct receiver *r, int fd) {
  uint32_t n = r->want;
  prepare(r, n);
  int got;
  do {
    got = recvmmsg(fd, r->message, n, 0, NULL);
  } while (got < 0 && errno == EINTR);
  r->described = 0;
  r->pieces = 0;
  r->filled = got > 0 ? (uint32_t)got : 0;
  r->full = r->filled == n;
  if (got <= 0) return 0;
  size_t bytes = 1;
  for (int i = 0; i < got; i++) bytes += r->message[i].msg_len;
  size_t fitting = BATCH_BYTES / (bytes / (size_t)got + 1);
  r->want = fitting < BATCH_MIN_MESSAGES ? BATCH_MIN_MESSAGES : fitting > r->batch.capacity ? r->batch.capacity : (uint32_t)fitting;
  if (r->want > r->batch.capacity) r->want = r->batch.capacity;
  return got;
}

/* Size of the datagrams that the kernel joined in a message (udp(7) UDP_GRO); the whole message when it joined none. */
static size_t datagram_size(struct msghdr *h, size_t len) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
    int size = 0;
    if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO || c->cmsg_len < CMSG_LEN(sizeof size)) continue;
    memcpy(&size, CMSG_DATA(c), sizeof size);
    if (size > 0 && (size_t)size < len) return (size_t)size;
  }
  return len;
}

/* The next descriptor, for `len` bytes at p of message m; not yet counted. */
static int32_t *describe(struct receiver *r, uint32_t m, const uint8_t *p, size_t len) {
  int32_t *d = batch_desc(&r->batch, r->described);
  memset(d, 0, DESC_STRIDE * sizeof *d);
  d[D_OFF] = (int32_t)(p - r->batch.bytes);
  d[D_LEN] = (int32_t)len;
  d[D_WIRE] = (int32_t)len;
  d[D_SEGMENTS] = 1;
  d[D_TUNNEL] = -1;
  address_words(&r->from[m], batch_from(&r->batch, r->described));
  return d;
}

/* Length of the encapsulation header (RFC 7348 §5, RFC 8926 §3.4) before the inner frame; 0 if it cannot be one. */
static size_t encap_length(const uint8_t *p, size_t len, int geneve) {
  size_t n = geneve ? 8 + (size_t)(p[0] & 0x3f) * 4 : 8;
  return len >= n + 14 ? n : 0;
}

static int same_sender(const struct receiver *r, uint32_t i, uint32_t j) {
  const int32_t *a = batch_from(&r->batch, i), *b = batch_from(&r->batch, j);
  return a[0] == b[0] && memcmp(a + 2, b + 2, 4 * sizeof *a) == 0;
}

/*
 * Counts descriptor d, the newest, unless its frame continues the run of the one before it. Both come from one sender
 * under one encapsulation header, so whatever TypeScript decides about the first holds for all.
 */
static void join_or_keep(struct receiver *r, int32_t *d, int geneve, int partial_allowed) {
  uint8_t *p = r->batch.bytes + d[D_OFF];
  size_t len = (size_t)d[D_LEN], encap = len > 8 ? encap_length(p, len, geneve) : 0;
  uint32_t i = r->described;
  d[D_BYTES] = d[D_LEN];
  r->run[i].segments = 1;
  r->run[i].open = 0;
  if (encap && r->joining) {
    int partial = partial_allowed && (p[7] & 0x80);
    struct run *before = i > 0 ? &r->run[i - 1] : NULL;
    int32_t *b = d - DESC_STRIDE;
    /* Their encapsulation headers may differ in length (Geneve options): only equal ones are compared. */
    if (before && before->open && b[D_TUNNEL] == d[D_TUNNEL] && b[D_KIND] == d[D_KIND] && same_sender(r, i - 1, i) &&
        before->frame == r->batch.bytes + b[D_OFF] + encap && memcmp(before->frame - encap, p, encap) == 0) {
      size_t at = join_extend(before, p + encap, len - encap, partial);
      if (at) {
        r->piece[r->pieces++] = (struct iovec){p + encap + at, len - encap - at};
        b[D_SEGMENTS]++;
        b[D_BYTES] += d[D_LEN];
        b[D_WIRE] += d[D_WIRE];
        return;
      }
    }
    join_begin(&r->run[i], p + encap, len - encap, partial);
    r->first[i] = r->pieces;
  }
  r->described++;
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
  if (lane != LANE_CONTROL) {
    /* An older packet says nothing about where its sender is now. */
    if (counter < l->window.last) d[D_FLAGS] = 0;
    if (!replay_accept(&l->window, counter)) return RECV_REPLAY;
  }
  d[D_OFF] += SEAL_HEADER;
  d[D_LEN] = (int32_t)plain;
  return RECV_OK;
}

static void take_sealed(struct receiver *r, uint32_t m, uint8_t *p, size_t len) {
  int32_t *d = describe(r, m, p, len);
  if (len < 1) d[D_STATUS] = RECV_GARBAGE;
  else if (p[0] != SEAL_TYPE) d[D_STATUS] = classify(p, len, d);
  else if (len < SEAL_MIN) d[D_STATUS] = RECV_GARBAGE;
  else d[D_STATUS] = open_sealed(r, p, len, d);
  if (d[D_STATUS] == RECV_OK && (d[D_KIND] == KIND_VXLAN || d[D_KIND] == KIND_GENEVE)) {
    join_or_keep(r, d, d[D_KIND] == KIND_GENEVE, 1);
  } else {
    r->run[r->described].segments = 1;
    r->run[r->described++].open = 0;
  }
}

static int32_t filled(const struct receiver *r) { return (int32_t)r->described | (r->full ? BATCH_FULL : 0); }

int32_t receiver_read(struct receiver *r, int fd) {
  int n = receive_batch(r, fd);
  for (int i = 0; i < n; i++) {
    uint8_t *p = batch_slot(&r->batch, (uint32_t)i);
    size_t left = r->message[i].msg_len, size = datagram_size(&r->message[i].msg_hdr, left);
    do {
      size_t len = left < size ? left : size;
      if (r->described == r->batch.frames) break;
      take_sealed(r, (uint32_t)i, p, len);
      p += len;
      left -= len;
    } while (left > 0);
  }
  return filled(r);
}

/* receiveSealed(fd) -> receiver_read */
static napi_value receive_sealed(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &fd)) return NULL;
  return value_int(env, receiver_read(a.self, (int)fd));
}

/*
 * True if a message that came with a datagram size is in truth one datagram: a kernel's tunnel put a whole UDP super-frame
 * into it and it crossed a virtual cable uncut. udp(7) UDP_GRO then names the size of the inner datagrams, because
 * udp_cmsg_recv (Linux include/net/udp.h) cannot tell them from outer ones.
 */
static int holds_super_frame(const uint8_t *p, size_t len, size_t size, int geneve) {
  struct frame_view v;
  size_t encap = size < len ? encap_length(p, len, geneve) : 0;
  if (!encap || !frame_parse(p + encap, len - encap, &v) || v.protocol != 17 || v.fragment) return 0;
  return encap + v.l3 + v.ip_len == len;
}

/* receivePlain(fd, geneve) -> descriptors filled, and BATCH_FULL; nothing is parsed here but to join */
static napi_value receive_plain(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd, geneve;
  if (!args_read(env, info, 2, &a) || !a.self || !args_int(env, a.at[0], &fd) || !args_int(env, a.at[1], &geneve))
    return NULL;
  struct receiver *r = a.self;
  int n = receive_batch(r, (int)fd);
  for (int i = 0; i < n; i++) {
    uint8_t *p = batch_slot(&r->batch, (uint32_t)i);
    size_t left = r->message[i].msg_len, size = datagram_size(&r->message[i].msg_hdr, left);
    int whole = holds_super_frame(p, left, size, geneve != 0);
    do {
      size_t len = left < size || whole ? left : size;
      if (r->described == r->batch.frames) break;
      int32_t *d = describe(r, (uint32_t)i, p, len);
      d[D_KIND] = KIND_PLAIN;
      d[D_STATUS] = len ? RECV_OK : RECV_GARBAGE;
      if (whole) d[D_GSO] = (int32_t)size;
      join_or_keep(r, d, geneve != 0, 0);
      p += len;
      left -= len;
    } while (left > 0);
  }
  return value_int(env, filled(r));
}

static int32_t write_status(int error) {
  switch (error) {
    case EIO: case EBADFD: case ENODEV: return RECV_TAP_DOWN;
    case EAGAIN: case ENOBUFS: case ENOMEM: return RECV_TAP_FULL;
    default: return RECV_TAP_ERROR;
  }
}

/* Frame i of the batch as one write: header, first frame, then the payloads that joined it. */
static int32_t write_frame(struct receiver *r, int fd, uint32_t i, const int32_t *d, size_t mtu) {
  uint8_t *frame = r->batch.bytes + d[D_OFF];
  size_t len = (size_t)d[D_LEN];
  struct run *run = &r->run[i];
  struct virtio_net_hdr h = {0};
  struct iovec v[2 + JOIN_MAX_SEGMENTS] = {{&h, VNET_HDR_BYTES}, {frame, len}};
  int n = 2;
  if (i < r->described && run->segments > 1) {
    if (frame != run->frame || len != run->len || !join_finish(run, &h)) return RECV_CSUM;
    for (uint32_t k = 0; k + 1 < run->segments; k++) v[n++] = r->piece[r->first[i] + k];
  } else if ((d[D_FLAGS] & F_PARTIAL) && !repair_partial(frame, len, &h)) {
    return RECV_CSUM;
  } else if (d[D_KIND] == KIND_PLAIN && d[D_GSO]) { /* holds_super_frame */
    if (!repair_datagrams(frame, len, mtu, (size_t)d[D_GSO], &h)) return RECV_CSUM;
  } else if ((d[D_FLAGS] & F_REPAIR) && !repair_plain(&r->mss, frame, len, mtu, &h)) {
    return RECV_CSUM;
  }
  while (writev(fd, v, n) < 0) {
    if (errno == EINTR) continue;
    /* A kernel that takes no super-frames after all: this one is lost and counted, the next come one by one. */
    if (errno == EINVAL && h.gso_type != VIRTIO_NET_HDR_GSO_NONE && n > 2) {
      r->joining = 0;
      r->refused = 1;
    }
    return write_status(errno);
  }
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
  for (int64_t i = 0; i < count && i < r->batch.frames; i++) {
    int32_t *d = batch_desc(&r->batch, (uint32_t)i);
    if (d[D_HDR] != 1) continue;
    if (!batch_holds(&r->batch, d[D_OFF], d[D_LEN])) {
      d[D_STATUS] = RECV_TAP_ERROR;
      continue;
    }
    d[D_STATUS] = write_frame(r, (int)fd, (uint32_t)i, d, (size_t)mtu);
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
  if (frame < 0 || frame >= r->batch.frames || at < 0 || max < 0 || (size_t)at > n) return value_int(env, 0);
  const int32_t *d = batch_desc(&r->batch, (uint32_t)frame);
  if (!batch_holds(&r->batch, d[D_OFF], d[D_LEN])) return value_int(env, 0);
  size_t len = (size_t)d[D_LEN];
  if (len > (size_t)max) len = (size_t)max;
  if (len > n - (size_t)at) len = n - (size_t)at;
  memcpy(into + at, r->batch.bytes + d[D_OFF], len);
  return value_int(env, (int64_t)len);
}

/* setJoining(on) */
static napi_value set_joining(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t on;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &on)) return NULL;
  ((struct receiver *)a.self)->joining = on != 0;
  return value_undefined(env);
}

static napi_value joining_refused(napi_env env, napi_callback_info info) {
  struct args a;
  if (!args_read(env, info, 0, &a) || !a.self) return NULL;
  return value_int(env, ((struct receiver *)a.self)->refused);
}

int receive_register(napi_env env, napi_value exports) {
  napi_property_descriptor methods[] = {
      {"install", NULL, install, NULL, NULL, NULL, napi_default, NULL},
      {"remove", NULL, remove_session, NULL, NULL, NULL, napi_default, NULL},
      {"receiveSealed", NULL, receive_sealed, NULL, NULL, NULL, napi_default, NULL},
      {"receivePlain", NULL, receive_plain, NULL, NULL, NULL, napi_default, NULL},
      {"writeTap", NULL, write_tap, NULL, NULL, NULL, napi_default, NULL},
      {"setJoining", NULL, set_joining, NULL, NULL, NULL, napi_default, NULL},
      {"joiningRefused", NULL, joining_refused, NULL, NULL, NULL, napi_default, NULL},
      {"copyOut", NULL, copy_out, NULL, NULL, NULL, napi_default, NULL},
  };
  napi_value type;
  return napi_define_class(env, "Receiver", NAPI_AUTO_LENGTH, receiver_new, NULL, sizeof methods / sizeof *methods,
                           methods, &type) == napi_ok &&
         napi_set_named_property(env, exports, "Receiver", type) == napi_ok;
}
