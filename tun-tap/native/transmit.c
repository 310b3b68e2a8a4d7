/*
 * The way out: drain the TAP, and seal and send what TypeScript decided. Functions stand in the order in which a frame
 * meets them.
 *
 *   TAP --readv--> slot --(TypeScript: header, peers)--> seal into the arena --sendmmsg--> UDP
 *
 * A flooded frame goes to several peers, each under its own key: frames are sealed from their slot into an output
 * arena, never in place, which costs the cipher nothing. A counter is spent before its packet is sent and never used
 * again, whatever becomes of the packet.
 */
#include "native.h"

#include "address.h"
#include "aead.h"
#include "args.h"
#include "batch.h"
#include "frame.h"
#include "repair.h"
#include "seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define E_STRIDE 4
#define SEND_GROUP 64
#define ARENA_BYTES (SEND_GROUP * 2048 + SLOT_BYTES + 64)
#define MAX_SOCKETS 32
#define MAX_TUNNELS 4096

enum entry_word { E_FRAME, E_TUNNEL, E_SOCKET, E_STATUS };

enum tunnel_mode { TUNNEL_NONE, TUNNEL_SEALED, TUNNEL_PLAIN };

struct tunnel {
  uint8_t mode, suite, inner, flags;
  uint32_t index;
  EVP_CIPHER_CTX *key;
  union address to;
};

struct transmitter {
  struct batch batch;
  napi_ref batch_ref, counters_ref;
  uint32_t tunnels, sockets;
  double *counters; /* per tunnel: the next counter; doubles are exact up to 2^53 and JavaScript reads them */
  int fds[MAX_SOCKETS], families[MAX_SOCKETS];
  struct tunnel *tunnel;
  size_t used; /* of the arena */
  uint32_t queued;
  int32_t *queued_entry[SEND_GROUP];
  struct mmsghdr message[SEND_GROUP];
  struct iovec iov[SEND_GROUP];
  union address to[SEND_GROUP];
  uint8_t arena[ARENA_BYTES];
};

static void tunnel_reset(struct tunnel *t) {
  aead_free(t->key);
  memset(t, 0, sizeof *t);
}

static void transmitter_free(napi_env env, void *data, void *hint) {
  struct transmitter *x = data;
  (void)hint;
  for (uint32_t i = 0; i < x->tunnels; i++) tunnel_reset(&x->tunnel[i]);
  napi_delete_reference(env, x->batch_ref);
  napi_delete_reference(env, x->counters_ref);
  free(x->tunnel);
  free(x);
}

/* new Transmitter(batch, counters: Float64Array(maxTunnels), sockets: Int32Array) */
static napi_value transmitter_new(napi_env env, napi_callback_info info) {
  struct args a;
  struct batch batch;
  napi_typedarray_type type;
  size_t tunnels, sockets;
  int32_t *fds;
  void *counters;
  napi_value self;
  if (!args_read(env, info, 3, &a) || !batch_from_object(env, a.at[0], &batch) ||
      !args_int32s(env, a.at[2], &fds, &sockets))
    return NULL;
  if (napi_get_typedarray_info(env, a.at[1], &type, &tunnels, &counters, NULL, NULL) != napi_ok ||
      type != napi_float64_array || tunnels < 1 || tunnels > MAX_TUNNELS || sockets < 1 || sockets > MAX_SOCKETS)
    return throw_type(env, "Transmitter: counters or sockets out of range");
  struct transmitter *x = calloc(1, sizeof *x);
  if (!x || !(x->tunnel = calloc(tunnels, sizeof *x->tunnel))) {
    free(x);
    return throw_errno(env, "Transmitter", ENOMEM);
  }
  x->batch = batch;
  x->tunnels = (uint32_t)tunnels;
  x->sockets = (uint32_t)sockets;
  x->counters = counters;
  for (size_t i = 0; i < sockets; i++) {
    union address own;
    socklen_t len = sizeof own;
    x->fds[i] = fds[i];
    x->families[i] = getsockname(fds[i], &own.any, &len) == 0 ? own.any.sa_family : AF_INET;
  }
  napi_get_cb_info(env, info, NULL, NULL, &self, NULL);
  napi_create_reference(env, a.at[0], 1, &x->batch_ref);
  napi_create_reference(env, a.at[1], 1, &x->counters_ref);
  if (napi_wrap(env, self, x, transmitter_free, NULL, NULL) != napi_ok) {
    transmitter_free(env, x, NULL);
    return NULL;
  }
  return self;
}

static struct tunnel *tunnel_at(napi_env env, const struct args *a, int64_t *slot) {
  struct transmitter *x = a->self;
  if (!x || !args_int(env, a->at[0], slot)) return NULL;
  if (*slot < 0 || *slot >= x->tunnels) {
    throw_type(env, "tunnel out of range");
    return NULL;
  }
  return &x->tunnel[*slot];
}

/* setSealed(tunnel, index, suite, inner, key, flags): a fresh key, so its counter starts at 0 */
static napi_value set_sealed(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t slot, index, suite, inner, flags;
  uint8_t *key;
  size_t n;
  struct tunnel *t;
  if (!args_read(env, info, 6, &a) || !(t = tunnel_at(env, &a, &slot)) || !args_int(env, a.at[1], &index) ||
      !args_int(env, a.at[2], &suite) || !args_int(env, a.at[3], &inner) || !args_bytes(env, a.at[4], &key, &n) ||
      !args_int(env, a.at[5], &flags))
    return NULL;
  EVP_CIPHER_CTX *ctx = n == AEAD_KEY_BYTES ? aead_new((int)suite, key, 1) : NULL;
  if (!ctx) return throw_type(env, "setSealed: unknown suite or wrong key length");
  aead_free(t->key);
  t->key = ctx;
  t->mode = TUNNEL_SEALED;
  t->suite = (uint8_t)suite;
  t->inner = (uint8_t)inner;
  t->flags = (uint8_t)flags;
  t->index = (uint32_t)index;
  ((struct transmitter *)a.self)->counters[slot] = 0;
  return value_undefined(env);
}

static napi_value set_plain(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t slot;
  struct tunnel *t;
  if (!args_read(env, info, 1, &a) || !(t = tunnel_at(env, &a, &slot))) return NULL;
  aead_free(t->key);
  t->key = NULL;
  t->mode = TUNNEL_PLAIN;
  return value_undefined(env);
}

/* setEndpoint(tunnel, ip, port) */
static napi_value set_endpoint(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t slot, port;
  char text[ADDRESS_TEXT];
  struct tunnel *t;
  union address to;
  if (!args_read(env, info, 3, &a) || !(t = tunnel_at(env, &a, &slot)) || !args_text(env, a.at[1], text, sizeof text) ||
      !args_int(env, a.at[2], &port))
    return NULL;
  if (port < 1 || port > 65535 || !address_parse(text, (uint16_t)port, &to)) return throw_errno(env, text, EINVAL);
  t->to = to;
  return value_undefined(env);
}

static napi_value clear_tunnel(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t slot;
  struct tunnel *t;
  if (!args_read(env, info, 1, &a) || !(t = tunnel_at(env, &a, &slot))) return NULL;
  tunnel_reset(t);
  ((struct transmitter *)a.self)->counters[slot] = 0;
  return value_undefined(env);
}

static int32_t mac_hi(const uint8_t *p) { return p[0] << 8 | p[1]; }
static int32_t mac_lo(const uint8_t *p) { return (int32_t)seal_u32(p + 2); }

static void describe(const struct transmitter *x, uint32_t i, size_t len, const struct virtio_net_hdr *h) {
  int32_t *d = batch_desc(&x->batch, i);
  const uint8_t *f = batch_slot(&x->batch, i);
  memset(d, 0, DESC_STRIDE * sizeof *d);
  d[D_OFF] = (int32_t)(f - x->batch.bytes);
  d[D_LEN] = (int32_t)len;
  if (len >= 14) {
    d[D_DST_HI] = mac_hi(f);
    d[D_DST_LO] = mac_lo(f);
    d[D_SRC_HI] = mac_hi(f + 6);
    d[D_SRC_LO] = mac_lo(f + 6);
    d[D_ETHERTYPE] = f[12] << 8 | f[13];
    d[D_FLOW_HASH] = (int32_t)(frame_flow_hash(f, len) & 0x7fffffff);
  }
  if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
    d[D_FLAGS] = F_NEEDS_CSUM;
    d[D_CSUM] = (int32_t)((uint32_t)h->csum_start | (uint32_t)h->csum_offset << 16);
  }
  d[D_GSO] = h->gso_type | h->gso_size << 8;
}

/* readTap(fd) -> frames read, or -errno when the TAP is gone and nothing was read. Drains until empty or the batch is full. */
static napi_value read_tap(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &fd)) return NULL;
  struct transmitter *x = a.self;
  uint32_t n = 0;
  while (n < x->batch.capacity) {
    struct virtio_net_hdr h;
    struct iovec v[2] = {{&h, VNET_HDR_BYTES}, {batch_slot(&x->batch, n), SLOT_FRAME}};
    ssize_t got = readv((int)fd, v, 2);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && n == 0) return value_int(env, -errno);
      break;
    }
    if (got < VNET_HDR_BYTES) continue;
    describe(x, n++, (size_t)got - VNET_HDR_BYTES, &h);
  }
  return value_int(env, n);
}

static int32_t status_of(int error) {
  switch (error) {
    case EMSGSIZE: return SEND_TOO_BIG;
    case EAGAIN: case ENOBUFS: return SEND_BUSY;
    case ENETUNREACH: case EHOSTUNREACH: case ENETDOWN: case EHOSTDOWN: case ECONNREFUSED: case EADDRNOTAVAIL:
      return SEND_UNREACHABLE;
    case EPERM: case EACCES: return SEND_REFUSED;
    default: return SEND_ERROR;
  }
}

/* Sends what is queued for one socket. A message that fails gets its status and the rest go on. Returns datagrams sent. */
static int flush(struct transmitter *x, int fd) {
  uint32_t at = 0, sent = 0, tries = 0;
  while (at < x->queued) {
    int n = sendmmsg(fd, x->message + at, x->queued - at, 0);
    if (n > 0) {
      at += (uint32_t)n;
      sent += (uint32_t)n;
      tries = 0;
      continue;
    }
    if (errno == EINTR || ((errno == ENOBUFS || errno == EAGAIN) && tries++ < 3)) continue;
    x->queued_entry[at++][E_STATUS] = status_of(errno);
    tries = 0;
  }
  x->queued = 0;
  x->used = 0;
  return (int)sent;
}

/* Builds the datagram of one entry: {base, len} of what goes on the wire, or a status. */
static int32_t build(struct transmitter *x, uint32_t slot, struct tunnel *t, const int32_t *d, struct iovec *out) {
  uint8_t *frame = x->batch.bytes + d[D_OFF], *header = frame - d[D_HDR];
  size_t len = (size_t)(d[D_HDR] + d[D_LEN]);
  int partial = (d[D_FLAGS] & F_NEEDS_CSUM) != 0;
  if (t->mode == TUNNEL_PLAIN) {
    *out = (struct iovec){header, len};
    return SEND_OK;
  }
  uint64_t counter = (uint64_t)x->counters[slot];
  if (counter >= COUNTER_LIMIT) return SEND_EXHAUSTED;
  x->counters[slot] = (double)(counter + 1);
  uint8_t *to = x->arena + x->used;
  seal_header(to, t->suite, t->inner, t->flags, t->index, counter);
  if (d[D_HDR] >= 8) header[7] = (uint8_t)((header[7] & 0x7f) | (partial ? 0x80 : 0));
  if (!aead_seal(t->key, counter, to, SEAL_HEADER, header, len, to + SEAL_HEADER)) return SEND_ERROR;
  *out = (struct iovec){to, SEAL_HEADER + len + AEAD_TAG_BYTES};
  x->used += (out->iov_len + 63) & ~(size_t)63;
  return SEND_OK;
}

/* A plain frame leaves with a complete checksum; completing it once serves every copy. */
static int complete_once(struct transmitter *x, int32_t *d) {
  if (!(d[D_FLAGS] & F_NEEDS_CSUM)) return 1;
  uint32_t c = (uint32_t)d[D_CSUM];
  if (!repair_complete(x->batch.bytes + d[D_OFF], (size_t)d[D_LEN], (uint16_t)c, (uint16_t)(c >> 16))) return 0;
  d[D_FLAGS] &= ~F_NEEDS_CSUM;
  return 1;
}

/* send(entries, count) -> datagrams handed to the kernel; each entry's STATUS says what became of it */
static napi_value send_entries(napi_env env, napi_callback_info info) {
  struct args a;
  int32_t *entries;
  size_t words;
  int64_t count;
  if (!args_read(env, info, 2, &a) || !a.self || !args_int32s(env, a.at[0], &entries, &words) ||
      !args_int(env, a.at[1], &count))
    return NULL;
  struct transmitter *x = a.self;
  if (count < 0 || (size_t)count * E_STRIDE > words) return throw_type(env, "send: count beyond the entries");
  int sent = 0, socket = -1;
  for (int64_t i = 0; i < count; i++) {
    int32_t *e = entries + i * E_STRIDE;
    uint32_t slot = (uint32_t)e[E_TUNNEL], frame = (uint32_t)e[E_FRAME], s = (uint32_t)e[E_SOCKET];
    e[E_STATUS] = SEND_ERROR;
    if (slot >= x->tunnels || frame >= x->batch.capacity || s >= x->sockets) continue;
    struct tunnel *t = &x->tunnel[slot];
    int32_t *d = batch_desc(&x->batch, frame);
    if (t->mode == TUNNEL_NONE || t->to.any.sa_family == AF_UNSPEC) {
      e[E_STATUS] = SEND_NO_TUNNEL;
      continue;
    }
    if (!batch_inside(&x->batch, frame, d[D_OFF], d[D_LEN], d[D_HDR])) continue;
    if (t->mode == TUNNEL_PLAIN && !complete_once(x, d)) {
      e[E_STATUS] = SEND_CSUM;
      continue;
    }
    size_t need = (size_t)(d[D_HDR] + d[D_LEN]) + SEAL_MIN + 64;
    if (x->queued && (socket != (int)s || x->queued == SEND_GROUP || x->used + need > ARENA_BYTES))
      sent += flush(x, x->fds[socket]);
    socket = (int)s;
    uint32_t q = x->queued;
    if (!address_for(&t->to, x->families[s], &x->to[q])) {
      e[E_STATUS] = SEND_UNREACHABLE;
      continue;
    }
    e[E_STATUS] = build(x, slot, t, d, &x->iov[q]);
    if (e[E_STATUS] != SEND_OK) continue;
    x->message[q].msg_hdr = (struct msghdr){.msg_name = &x->to[q], .msg_namelen = address_len(&x->to[q]),
                                            .msg_iov = &x->iov[q], .msg_iovlen = 1};
    x->queued_entry[q] = e;
    x->queued = q + 1;
  }
  if (x->queued) sent += flush(x, x->fds[socket]);
  return value_int(env, sent);
}

int transmit_register(napi_env env, napi_value exports) {
  napi_property_descriptor methods[] = {
      {"setSealed", NULL, set_sealed, NULL, NULL, NULL, napi_default, NULL},
      {"setPlain", NULL, set_plain, NULL, NULL, NULL, napi_default, NULL},
      {"setEndpoint", NULL, set_endpoint, NULL, NULL, NULL, napi_default, NULL},
      {"clear", NULL, clear_tunnel, NULL, NULL, NULL, napi_default, NULL},
      {"readTap", NULL, read_tap, NULL, NULL, NULL, napi_default, NULL},
      {"send", NULL, send_entries, NULL, NULL, NULL, napi_default, NULL},
  };
  napi_value type;
  return napi_define_class(env, "Transmitter", NAPI_AUTO_LENGTH, transmitter_new, NULL,
                           sizeof methods / sizeof *methods, methods, &type) == napi_ok &&
         napi_set_named_property(env, exports, "Transmitter", type) == napi_ok;
}
