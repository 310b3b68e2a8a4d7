/*
 * The anti-replay window of RFC 6479: a ring of 64-bit words, one bit per counter, slid by whole words so that no shift
 * of the whole window is ever needed. One more word than the window is kept, because the word that `last` is in is only
 * partly used. All zero is an empty window. Not for several threads at once.
 */
#ifndef TUN_TAP_REPLAY_H
#define TUN_TAP_REPLAY_H

#include <stdint.h>

#define REPLAY_BITS 8192
#define REPLAY_WORDS 256 /* a power of two above 8192/64 + 1, so that the ring index is a mask */
#define REPLAY_LIMIT (UINT64_C(1) << 52)

struct replay {
  uint64_t last; /* highest accepted counter + 1; 0 when none was */
  uint64_t ring[REPLAY_WORDS];
};

/* 1 if `counter` could still be accepted. Changes nothing. */
static inline int replay_check(const struct replay *r, uint64_t counter) {
  if (counter >= REPLAY_LIMIT) return 0;
  if (counter >= r->last) return 1;
  if (r->last - counter > REPLAY_BITS) return 0;
  return !((r->ring[(counter >> 6) & (REPLAY_WORDS - 1)] >> (counter & 63)) & 1);
}

/* 1 and the bit is set if `counter` is new; 0 if it is too old or was seen. Only for counters whose tag verified. */
static inline int replay_accept(struct replay *r, uint64_t counter) {
  if (!replay_check(r, counter)) return 0;
  if (counter >= r->last) {
    uint64_t from = r->last ? (r->last - 1) >> 6 : 0, to = counter >> 6;
    uint64_t steps = to - from;
    if (steps > REPLAY_WORDS) steps = REPLAY_WORDS;
    for (uint64_t i = 1; i <= steps; i++) r->ring[(from + i) & (REPLAY_WORDS - 1)] = 0;
    r->last = counter + 1;
  }
  r->ring[(counter >> 6) & (REPLAY_WORDS - 1)] |= UINT64_C(1) << (counter & 63);
  return 1;
}

#endif
