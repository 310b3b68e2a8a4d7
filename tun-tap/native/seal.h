/*
 * The sealed datagram (big endian); its first 16 bytes are the associated data:
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------+---------------+---------------+---------------+
 *   |    type = 4   |     suite     |     inner     |     flags     |
 *   +---------------+---------------+---------------+---------------+
 *   |              receiver index: 28 random bits           | lane  |
 *   +---------------------------------------------------------------+
 *   |                        counter (64 bits)                      |
 *   |                                                               |
 *   +---------------------------------------------------------------+
 *   |                ciphertext, then a 16-byte tag                 |
 *
 * inner: 0 control, 1 VXLAN, 2 Geneve. Lane 15 is control and nothing else is. flags bit 0: sent from the sender's
 * listening socket. Other datagram types on the same port: 1 to 3 handshake, 5 reset; they are told apart by type and
 * size only and handed up unread.
 */
#ifndef TUN_TAP_SEAL_H
#define TUN_TAP_SEAL_H

#include <stdint.h>

#define SEAL_HEADER 16
#define SEAL_TYPE 4
#define SEAL_MIN (SEAL_HEADER + 16)
#define LANE_CONTROL 15
#define LANES 16
#define FLAG_FROM_LISTENER 1
#define HANDSHAKE_INIT_BYTES 1200
#define HANDSHAKE_RESPONSE_MAX 1200
#define HANDSHAKE_RESPONSE_MIN 96
#define COOKIE_BYTES 64
#define RESET_BYTES 24
#define COUNTER_LIMIT (UINT64_C(1) << 52)

static inline uint32_t seal_u32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint64_t seal_u64(const uint8_t *p) { return (uint64_t)seal_u32(p) << 32 | seal_u32(p + 4); }

static inline void seal_header(uint8_t *p, int suite, int inner, int flags, uint32_t index, uint64_t counter) {
  p[0] = SEAL_TYPE;
  p[1] = (uint8_t)suite;
  p[2] = (uint8_t)inner;
  p[3] = (uint8_t)flags;
  for (int i = 0; i < 4; i++) p[4 + i] = (uint8_t)(index >> (24 - 8 * i));
  for (int i = 0; i < 8; i++) p[8 + i] = (uint8_t)(counter >> (56 - 8 * i));
}

#endif
