/* See outbox.h. */
#include "outbox.h"

#include "batch.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define RETRIES 3

uint8_t *outbox_room(struct outbox *o, size_t bytes, uint32_t pieces) {
  if (bytes > OUTBOX_ARENA || pieces > OUTBOX_PIECES) return NULL;
  if (o->used + bytes > OUTBOX_ARENA || o->pieces + pieces > OUTBOX_PIECES) outbox_flush(o);
  return o->arena + o->used;
}

/* The message that a datagram of `bytes` may still join, or NULL. */
static struct outbox_message *joinable(struct outbox *o, const int32_t *e, size_t bytes) {
  struct outbox_message *m = o->messages ? &o->message[o->messages - 1] : NULL;
  if (!m || m->closed || m->socket != (uint32_t)e[E_SOCKET] || m->tunnel != (uint32_t)e[E_TUNNEL]) return NULL;
  if (!o->segmenting[m->socket] || (o->singly && o->singly[m->tunnel]) || bytes > m->size || m->segments == SEGMENTS_MAX || m->bytes + bytes > MESSAGE_MAX)
    return NULL;
  return m;
}

int outbox_add(struct outbox *o, int32_t *e, const union address *to, const struct iovec *pieces, uint32_t n) {
  size_t bytes = pieces[0].iov_len + (n > 1 ? pieces[1].iov_len : 0);
  struct outbox_message *m = joinable(o, e, bytes);
  if (!m) {
    if (o->messages == OUTBOX_MESSAGES) return 0;
    if (!address_for(to, o->families[e[E_SOCKET]], &o->to[o->messages])) return 0;
    m = &o->message[o->messages++];
    *m = (struct outbox_message){.socket = (uint32_t)e[E_SOCKET], .tunnel = (uint32_t)e[E_TUNNEL],
                                 .size = (uint32_t)bytes, .piece = o->pieces, .first = e};
  }
  for (uint32_t i = 0; i < n; i++) {
    struct iovec *last = m->pieces ? &o->piece[o->pieces - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == pieces[i].iov_base) {
      last->iov_len += pieces[i].iov_len;
    } else {
      o->piece[o->pieces++] = pieces[i];
      m->pieces++;
    }
  }
  m->segments++;
  m->bytes += (uint32_t)bytes;
  m->closed = bytes < m->size;
  m->last = e;
  return 1;
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

static void fail(struct outbox_message *m, int error) {
  for (int32_t *e = m->first; e <= m->last; e += E_STRIDE)
    if (e[E_STATUS] == SEND_OK) e[E_STATUS] = status_of(error);
}

static int transient(int error) { return error == EINTR || error == ENOBUFS || error == EAGAIN; }

/* One message again, datagram by datagram. Returns the last errno, 0 if all left. */
static int send_singly(struct outbox *o, uint32_t at) {
  int last = 0;
  struct outbox_message *m = &o->message[at];
  struct iovec *piece = o->piece + m->piece, cut[SEGMENTS_MAX];
  struct msghdr h = {.msg_name = &o->to[at], .msg_namelen = address_len(&o->to[at]), .msg_iov = cut};
  size_t skip = 0; /* bytes of *piece that are sent */
  for (uint32_t left = m->bytes; left > 0;) {
    size_t want = left < m->size ? left : m->size, n = 0;
    left -= (uint32_t)want;
    while (want > 0 && n < SEGMENTS_MAX) {
      size_t part = piece->iov_len - skip < want ? piece->iov_len - skip : want;
      cut[n++] = (struct iovec){(uint8_t *)piece->iov_base + skip, part};
      want -= part;
      skip += part;
      if (skip == piece->iov_len) {
        piece++;
        skip = 0;
      }
    }
    h.msg_iovlen = n;
    int tries = 0;
    while (sendmsg(o->fds[m->socket], &h, 0) < 0)
      if (!transient(errno) || tries++ == RETRIES) {
        last = errno;
        fail(m, last);
        break;
      }
  }
  return last;
}

static void prepare(struct outbox *o, uint32_t at) {
  struct outbox_message *m = &o->message[at];
  struct msghdr *h = &o->header[at].msg_hdr;
  *h = (struct msghdr){.msg_name = &o->to[at], .msg_namelen = address_len(&o->to[at]), .msg_iov = o->piece + m->piece,
                       .msg_iovlen = m->pieces};
  if (m->segments < 2) return; /* a single datagram with UDP_SEGMENT breaks some drivers */
  h->msg_control = o->control[at].bytes;
  h->msg_controllen = sizeof o->control[at].bytes;
  struct cmsghdr *c = CMSG_FIRSTHDR(h);
  uint16_t size = (uint16_t)m->size;
  c->cmsg_level = SOL_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof size);
  memcpy(CMSG_DATA(c), &size, sizeof size);
}

/* Messages [at, end) leave from one socket. One that fails gets its status, and the rest go on. */
static void send_range(struct outbox *o, uint32_t at, uint32_t end) {
  uint32_t socket = o->message[at].socket;
  int tries = 0;
  while (at < end) {
    int n = sendmmsg(o->fds[socket], o->header + at, end - at, 0);
    if (n > 0) {
      at += (uint32_t)n;
      tries = 0;
      continue;
    }
    int error = errno;
    if (error == EINTR || (transient(error) && tries++ < RETRIES)) continue;
    tries = 0;
    struct outbox_message *m = &o->message[at];
    if ((error == EIO || error == EINVAL) && m->segments > 1) {
      /* Before Linux 6.13 datagrams that are too large in a run are EINVAL too; sent singly they say EMSGSIZE. */
      if (send_singly(o, at) != EMSGSIZE && o->segmenting[socket]) {
        o->segmenting[socket] = 0;
        o->refused++;
      }
    } else {
      fail(m, error);
    }
    at++;
  }
}

void outbox_flush(struct outbox *o) {
  for (uint32_t i = 0; i < o->messages; i++) prepare(o, i);
  for (uint32_t at = 0; at < o->messages;) {
    uint32_t end = at + 1;
    while (end < o->messages && o->message[end].socket == o->message[at].socket) end++;
    send_range(o, at, end);
    at = end;
  }
  o->messages = 0;
  o->pieces = 0;
  o->used = 0;
}
