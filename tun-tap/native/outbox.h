/*
 * Datagrams on their way to the kernel. Neighbours of equal size to one peer from one socket become one message with
 * UDP_SEGMENT (udp(7)): the kernel, or the NIC, cuts it again. One sendmmsg carries messages to many peers.
 *
 *   datagrams:   1460 1460 1460 900 | 120 120 | 64        (peer A)      (peer B)  (peer A)
 *   messages:    one of 4, size 1460 | one of 2, size 120 | one of 1, without UDP_SEGMENT
 *
 * Bytes come as pieces: sealed datagrams lie behind each other in the arena and melt into one piece; plain ones are a
 * header in the arena and a payload in its slot. A message never holds more than SEGMENTS_MAX datagrams or 65,000 bytes.
 * If the kernel refuses UDP_SEGMENT on a socket (EIO: no checksum offload on the way out; EINVAL), it is switched off for that
 * socket for good, and the message goes out once more datagram by datagram: nothing is lost.
 */
#ifndef TUN_TAP_OUTBOX_H
#define TUN_TAP_OUTBOX_H

#include "address.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define OUTBOX_MESSAGES 64
#define OUTBOX_PIECES 1024
#define OUTBOX_ARENA (256 * 1024)
#define OUTBOX_SOCKETS 32
#define SEGMENTS_MAX 64
#define MESSAGE_MAX 65000

struct outbox_message {
  uint32_t socket, tunnel;
  uint32_t segments, size, bytes, piece, pieces;
  int closed;
  int32_t *first, *last; /* entries whose datagrams it holds */
};

struct outbox {
  uint32_t sockets;
  int fds[OUTBOX_SOCKETS], families[OUTBOX_SOCKETS];
  uint8_t segmenting[OUTBOX_SOCKETS];
  const int32_t *singly; /* by tunnel: not 0 where the path swallows messages of several datagrams; JavaScript writes them */
  uint32_t refused; /* sockets on which the kernel refused UDP_SEGMENT */
  uint32_t messages, pieces;
  size_t used; /* of the arena */
  struct outbox_message message[OUTBOX_MESSAGES];
  union address to[OUTBOX_MESSAGES];
  struct iovec piece[OUTBOX_PIECES];
  struct mmsghdr header[OUTBOX_MESSAGES];
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
  } control[OUTBOX_MESSAGES];
  uint8_t arena[OUTBOX_ARENA];
};

/* Words of a send entry; transmitter.ts says the same. */
#define E_STRIDE 6
enum entry_word { E_FRAME, E_TUNNEL, E_SOCKET, E_STATUS, E_PACKETS, E_BYTES };

/* Room for `bytes` in the arena and for `pieces` more pieces; sends what waits if there is none. NULL if it can never fit. */
uint8_t *outbox_room(struct outbox *o, size_t bytes, uint32_t pieces);
/* Keeps `bytes` of the room for a datagram. */
static inline void outbox_take(struct outbox *o, size_t bytes) { o->used += bytes; }
/*
 * Adds a datagram of `n` (1 or 2) pieces for entry e, after outbox_room for them. 0 if the address cannot be reached from
 * the socket's family.
 */
int outbox_add(struct outbox *o, int32_t *e, const union address *to, const struct iovec *pieces, uint32_t n);
/* Sends all that waits. An entry whose message fails gets its STATUS. */
void outbox_flush(struct outbox *o);

#endif
