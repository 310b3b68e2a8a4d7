/*
 * The way out: drain the TAP, and seal and send what TypeScript decided. Functions stand in the order in which a frame
 * meets them.
 *
 *   TAP --read--> slot --(TypeScript: header, peers)--> cut, seal into the arena --sendmmsg--> UDP
 *
 * A flooded frame goes to several peers, each under its own key: frames are sealed from their slot into the outbox's
 * arena, never in place, which costs the cipher nothing. A counter is spent before its packet is sent and never used
 * again, whatever becomes of the packet.
 */
#include "native.h"

#include "address.h"
#include "aead.h"
#include "ahead.h"
#include "args.h"
#include "batch.h"
#include "frame.h"
#include "outbox.h"
#include "repair.h"
#include "seal.h"
#include "split.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_TUNNELS 4096
/* Read no further than this before sealing: what was read is still in the second-level cache then. */
#define DRAIN_BYTES (192 * 1024)

enum tunnel_mode { TUNNEL_NONE, TUNNEL_SEALED, TUNNEL_PLAIN };

struct tunnel {
  uint8_t mode, suite, inner, flags;
  uint32_t index;
  struct aead *key;
  union address to;
  /* Its own endpoint while frames go elsewhere; family 0 while they do not. */
  union address home;
};

struct transmitter {
  struct batch batch;
  napi_ref batch_ref, counters_ref, limits_ref, singly_ref;
  uint32_t tunnels;
  double *counters;      /* per tunnel: the next counter; doubles are exact up to 2^53 and JavaScript reads them */
  const int32_t *limits; /* per tunnel: the largest inner IP packet, 0 for no limit; JavaScript writes them */
  struct tunnel *tunnel;
  struct split split;
  struct outbox out;
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
  napi_delete_reference(env, x->limits_ref);
  napi_delete_reference(env, x->singly_ref);
  free(x->tunnel);
  free(x);
}

/* new Transmitter(batch, counters: Float64Array(maxTunnels), sockets: Int32Array, limits, singly: Int32Array(maxTunnels)) */
static napi_value transmitter_new(napi_env env, napi_callback_info info) {
  struct args a;
  struct batch batch;
  napi_typedarray_type type;
  size_t tunnels, sockets, limited, flagged;
  int32_t *fds, *limits, *singly;
  void *counters;
  napi_value self;
  if (!args_read(env, info, 5, &a) || !batch_from_object(env, a.at[0], &batch) ||
      !args_int32s(env, a.at[2], &fds, &sockets) || !args_int32s(env, a.at[3], &limits, &limited) ||
      !args_int32s(env, a.at[4], &singly, &flagged))
    return NULL;
  if (napi_get_typedarray_info(env, a.at[1], &type, &tunnels, &counters, NULL, NULL) != napi_ok ||
      type != napi_float64_array || tunnels < 1 || tunnels > MAX_TUNNELS || sockets < 1 || sockets > OUTBOX_SOCKETS ||
      limited < tunnels || flagged < tunnels)
    return throw_type(env, "Transmitter: counters, limits, flags or sockets out of range");
  struct transmitter *x = calloc(1, sizeof *x);
  if (!x || !(x->tunnel = calloc(tunnels, sizeof *x->tunnel))) {
    free(x);
    return throw_errno(env, "Transmitter", ENOMEM);
  }
  x->batch = batch;
  x->tunnels = (uint32_t)tunnels;
  x->counters = counters;
  x->limits = limits;
  x->out.singly = singly;
  x->out.sockets = (uint32_t)sockets;
  for (size_t i = 0; i < sockets; i++) {
    union address own;
    socklen_t len = sizeof own;
    x->out.fds[i] = fds[i];
    x->out.segmenting[i] = 1;
    x->out.families[i] = getsockname(fds[i], &own.any, &len) == 0 ? own.any.sa_family : AF_INET;
  }
  napi_get_cb_info(env, info, NULL, NULL, &self, NULL);
  napi_create_reference(env, a.at[0], 1, &x->batch_ref);
  napi_create_reference(env, a.at[1], 1, &x->counters_ref);
  napi_create_reference(env, a.at[3], 1, &x->limits_ref);
  napi_create_reference(env, a.at[4], 1, &x->singly_ref);
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
  struct aead *ctx = n == AEAD_KEY_BYTES ? aead_new((int)suite, key, 1) : NULL;
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
  memset(&t->home, 0, sizeof t->home);
  return value_undefined(env);
}

/* divert(tunnel, words, at): frames go to the address at words[at..] until the next setEndpoint; at < 0: home again */
static napi_value divert(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t slot, at;
  int32_t *words;
  size_t n;
  struct tunnel *t;
  union address to;
  if (!args_read(env, info, 3, &a) || !(t = tunnel_at(env, &a, &slot)) || !args_int32s(env, a.at[1], &words, &n) ||
      !args_int(env, a.at[2], &at))
    return NULL;
  if (at < 0) {
    if (t->home.any.sa_family) t->to = t->home;
    memset(&t->home, 0, sizeof t->home);
    return value_undefined(env);
  }
  if (n < 6 || (uint64_t)at > n - 6 || !address_from_words(words + at, &to))
    return throw_type(env, "divert: no address in these words");
  if (!t->home.any.sa_family) t->home = t->to;
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

int32_t transmitter_read(struct transmitter *x, int fd) {
  uint32_t n = 0;
  size_t bytes = 0;
  while (n < x->batch.capacity && bytes < DRAIN_BYTES) {
    /* The virtio-net header lands in the headroom: one buffer is cheaper for the kernel than two. */
    struct virtio_net_hdr h;
    uint8_t *slot = batch_slot(&x->batch, n);
    ssize_t got = read(fd, slot - VNET_HDR_BYTES, VNET_HDR_BYTES + SLOT_FRAME);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && n == 0) return -errno;
      break;
    }
    if (got < VNET_HDR_BYTES) continue;
    bytes += (size_t)got;
    memcpy(&h, slot - VNET_HDR_BYTES, VNET_HDR_BYTES);
    describe(x, n++, (size_t)got - VNET_HDR_BYTES, &h);
  }
  return (int32_t)n;
}

/* readTap(fd) -> transmitter_read */
static napi_value read_tap(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &fd)) return NULL;
  return value_int(env, transmitter_read(a.self, (int)fd));
}

/* Seals `len` bytes at `from` into the outbox: one datagram of entry e. */
static int32_t add_sealed(struct transmitter *x, struct tunnel *t, int32_t *e, const uint8_t *from, size_t len) {
  uint32_t slot = (uint32_t)e[E_TUNNEL];
  uint64_t counter = (uint64_t)x->counters[slot];
  if (counter >= COUNTER_LIMIT) return SEND_EXHAUSTED;
  size_t bytes = SEAL_HEADER + len + AEAD_TAG_BYTES;
  uint8_t *to = outbox_room(&x->out, bytes, 1);
  if (!to) return SEND_ERROR;
  x->counters[slot] = (double)(counter + 1);
  seal_header(to, t->suite, t->inner, e[E_SOCKET] == 0 ? t->flags : t->flags & ~FLAG_FROM_LISTENER, t->index, counter);
  if (!aead_seal(t->key, counter, to, SEAL_HEADER, from, len, to + SEAL_HEADER)) return SEND_ERROR;
  struct iovec piece = {to, bytes};
  outbox_take(&x->out, bytes);
  if (!outbox_add(&x->out, e, &t->to, &piece, 1)) return SEND_UNREACHABLE;
  e[E_PACKETS]++;
  e[E_BYTES] += (int32_t)bytes;
  return SEND_OK;
}

/* One whole frame, header directly before it. */
static int32_t send_frame(struct transmitter *x, struct tunnel *t, int32_t *e, const int32_t *d) {
  uint8_t *frame = x->batch.bytes + d[D_OFF], *header = frame - d[D_HDR];
  size_t len = (size_t)(d[D_HDR] + d[D_LEN]);
  if (t->mode == TUNNEL_SEALED) {
    if (d[D_HDR] >= 8) header[7] = (uint8_t)((header[7] & 0x7f) | (d[D_FLAGS] & F_NEEDS_CSUM ? 0x80 : 0));
    return add_sealed(x, t, e, header, len);
  }
  struct iovec piece = {header, len};
  if (!outbox_room(&x->out, 0, 1)) return SEND_ERROR;
  if (!outbox_add(&x->out, e, &t->to, &piece, 1)) return SEND_UNREACHABLE;
  e[E_PACKETS] = 1;
  e[E_BYTES] = (int32_t)len;
  return SEND_OK;
}

/*
 * A segment of a super-frame under a seal: its headers are stamped over the end of the payload before it, so that the
 * cipher reads one contiguous text, and what they covered is put back (another copy of the frame may follow).
 */
static int32_t send_sealed_segment(struct transmitter *x, struct tunnel *t, int32_t *e, const int32_t *d, uint32_t i) {
  uint8_t saved[SPLIT_MAX_HEADER + SLOT_HEADROOM];
  size_t n, at = split_payload(&x->split, i, &n), header = (size_t)x->split.view.header, encap = (size_t)d[D_HDR];
  const uint8_t *first = x->batch.bytes + d[D_OFF] - encap;
  uint8_t *start = x->batch.bytes + d[D_OFF] + at - header - encap;
  memcpy(saved, start, encap + header);
  memmove(start, first, encap);
  if (encap >= 8) start[7] |= 0x80;
  split_stamp(&x->split, i, start + encap, NULL);
  int32_t status = add_sealed(x, t, e, start, encap + header + n);
  memcpy(start, saved, encap + header);
  return status;
}

/* A segment in the clear: headers in the arena, the payload from its slot, the checksum finished. */
static int32_t send_plain_segment(struct transmitter *x, struct tunnel *t, int32_t *e, const int32_t *d, uint32_t i) {
  size_t n, at = split_payload(&x->split, i, &n), header = (size_t)x->split.view.header, encap = (size_t)d[D_HDR];
  uint8_t *frame = x->batch.bytes + d[D_OFF], *to = outbox_room(&x->out, encap + header, 2);
  if (!to) return SEND_ERROR;
  memcpy(to, frame - encap, encap);
  split_stamp(&x->split, i, to + encap, frame + at);
  struct iovec pieces[2] = {{to, encap + header}, {frame + at, n}};
  outbox_take(&x->out, encap + header);
  if (!outbox_add(&x->out, e, &t->to, pieces, 2)) return SEND_UNREACHABLE;
  e[E_PACKETS]++;
  e[E_BYTES] += (int32_t)(encap + header + n);
  return SEND_OK;
}

static int32_t send_super(struct transmitter *x, struct tunnel *t, int32_t *e, const int32_t *d) {
  uint32_t c = (uint32_t)d[D_CSUM];
  struct virtio_net_hdr h = {.flags = d[D_FLAGS] & F_NEEDS_CSUM ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0,
                             .gso_type = (uint8_t)d[D_GSO], .gso_size = (uint16_t)(d[D_GSO] >> 8),
                             .csum_start = (uint16_t)c, .csum_offset = (uint16_t)(c >> 16)};
  if (!split_plan(&x->split, x->batch.bytes + d[D_OFF], (size_t)d[D_LEN], &h, (size_t)x->limits[e[E_TUNNEL]]))
    return SEND_SPLIT;
  int32_t status = SEND_OK;
  for (uint32_t i = 0; i < x->split.segments && status == SEND_OK; i++) {
    if (x->out.messages == OUTBOX_MESSAGES) outbox_flush(&x->out);
    status = t->mode == TUNNEL_SEALED ? send_sealed_segment(x, t, e, d, i) : send_plain_segment(x, t, e, d, i);
  }
  return status;
}

/* A plain frame leaves with a complete checksum; completing it once serves every copy. */
static int complete_once(struct transmitter *x, int32_t *d) {
  if (!(d[D_FLAGS] & F_NEEDS_CSUM)) return 1;
  uint32_t c = (uint32_t)d[D_CSUM];
  if (!repair_complete(x->batch.bytes + d[D_OFF], (size_t)d[D_LEN], (uint16_t)c, (uint16_t)(c >> 16))) return 0;
  d[D_FLAGS] &= ~F_NEEDS_CSUM;
  return 1;
}

static int32_t send_entry(struct transmitter *x, int32_t *e) {
  uint32_t slot = (uint32_t)e[E_TUNNEL], frame = (uint32_t)e[E_FRAME];
  if (slot >= x->tunnels || frame >= x->batch.capacity || (uint32_t)e[E_SOCKET] >= x->out.sockets) return SEND_ERROR;
  struct tunnel *t = &x->tunnel[slot];
  int32_t *d = batch_desc(&x->batch, frame);
  if (t->mode == TUNNEL_NONE || t->to.any.sa_family == AF_UNSPEC) return SEND_NO_TUNNEL;
  if (d[D_HDR] > SLOT_HEADROOM || !batch_inside(&x->batch, frame, d[D_OFF], d[D_LEN], d[D_HDR])) return SEND_ERROR;
  if (x->out.messages == OUTBOX_MESSAGES) outbox_flush(&x->out);
  if (d[D_GSO] & 0xff) return send_super(x, t, e, d);
  if (t->mode == TUNNEL_PLAIN && !complete_once(x, d)) return SEND_CSUM;
  return send_frame(x, t, e, d);
}

/* send(entries, count) -> undefined; each entry's STATUS, PACKETS and BYTES say what became of it */
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
  for (int64_t i = 0; i < count; i++) {
    int32_t *e = entries + i * E_STRIDE;
    e[E_STATUS] = SEND_OK;
    e[E_PACKETS] = 0;
    e[E_BYTES] = 0;
    int32_t status = send_entry(x, e);
    if (status != SEND_OK) e[E_STATUS] = status;
  }
  outbox_flush(&x->out);
  return value_undefined(env);
}

/* segmenting(enable) -> sockets on which the kernel refused UDP_SEGMENT so far; enable 0 or 1 sets all sockets, -1 only asks */
static napi_value segmenting(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t enable;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &enable)) return NULL;
  struct transmitter *x = a.self;
  if (enable >= 0) memset(x->out.segmenting, enable != 0, sizeof x->out.segmenting);
  return value_int(env, x->out.refused);
}

int transmit_register(napi_env env, napi_value exports) {
  napi_property_descriptor methods[] = {
      {"setSealed", NULL, set_sealed, NULL, NULL, NULL, napi_default, NULL},
      {"setPlain", NULL, set_plain, NULL, NULL, NULL, napi_default, NULL},
      {"setEndpoint", NULL, set_endpoint, NULL, NULL, NULL, napi_default, NULL},
      {"divert", NULL, divert, NULL, NULL, NULL, napi_default, NULL},
      {"clear", NULL, clear_tunnel, NULL, NULL, NULL, napi_default, NULL},
      {"readTap", NULL, read_tap, NULL, NULL, NULL, napi_default, NULL},
      {"segmenting", NULL, segmenting, NULL, NULL, NULL, napi_default, NULL},
      {"send", NULL, send_entries, NULL, NULL, NULL, napi_default, NULL},
  };
  napi_value type;
  return napi_define_class(env, "Transmitter", NAPI_AUTO_LENGTH, transmitter_new, NULL,
                           sizeof methods / sizeof *methods, methods, &type) == napi_ok &&
         napi_set_named_property(env, exports, "Transmitter", type) == napi_ok;
}
