/*
 * Receive keys by receiver index: open addressing with linear probing over 2x the bound, so that a lookup of an index
 * that nobody has ends early. A lane's context and window are made when its first packet comes: most peers use one lane.
 * Bounded by `max` sessions of 16 lanes.
 */
#ifndef TUN_TAP_SESSIONS_H
#define TUN_TAP_SESSIONS_H

#include "aead.h"
#include "replay.h"
#include "seal.h"

#include <stdint.h>

#define SESSIONS_MAX 65536

struct lane {
  struct aead *key;
  struct replay window;
};

struct session {
  uint32_t index; /* lowest 4 bits 0 */
  uint8_t used, suite, inner;
  uint16_t lanes; /* bit n: lane n is accepted */
  int32_t tunnel;
  struct lane *lane[LANES];
  uint8_t keys[LANES][AEAD_KEY_BYTES];
};

struct sessions {
  uint32_t count, max, mask;
  int worker, workers;
  struct session **table;
};

int sessions_init(struct sessions *t, uint32_t max, int worker, int workers);
void sessions_free(struct sessions *t);
/* Replaces a session of the same index. 0 when the table is full or memory is. Copies the keys. */
int sessions_install(struct sessions *t, uint32_t index, int suite, int inner, const uint8_t *keys, uint32_t lanes,
                     int32_t tunnel);
/* Zeroes the keys. Nothing happens for an unknown index. */
void sessions_remove(struct sessions *t, uint32_t index);
struct session *sessions_find(const struct sessions *t, uint32_t index);
/* Whether this worker is the one that keeps the lane's window; the control lane is accepted anywhere. */
int sessions_lane_is_ours(const struct sessions *t, const struct session *s, int lane);
/* The lane's state, made on first use; NULL when memory is short. */
struct lane *session_lane(struct session *s, int lane);

#endif
