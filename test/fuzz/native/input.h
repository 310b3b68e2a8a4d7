/*
 * A fuzzer's input read front to back: numbers that steer a target, then bytes of frames. Past the end everything is zero,
 * so that a shorter input is a simpler one. Every target copies what it hands to the code under test into memory of
 * exactly that size, so that AddressSanitizer sees one byte too many.
 */
#ifndef WEFT_FUZZ_INPUT_H
#define WEFT_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct input {
  const uint8_t *at;
  size_t left;
};

static inline uint32_t input_u8(struct input *in) {
  if (in->left == 0) return 0;
  in->left--;
  return *in->at++;
}

static inline uint32_t input_u16(struct input *in) {
  uint32_t high = input_u8(in);
  return high << 8 | input_u8(in);
}

/* At most `want` bytes in fresh memory of exactly that size, which the caller frees. */
static inline uint8_t *input_bytes(struct input *in, size_t want, size_t *got) {
  *got = want < in->left ? want : in->left;
  uint8_t *copy = malloc(*got ? *got : 1);
  if (!copy) abort();
  memcpy(copy, in->at, *got);
  in->at += *got;
  in->left -= *got;
  return copy;
}

/* What must hold whatever the input is. */
#define MUST(condition)                                                          \
  do {                                                                           \
    if (!(condition)) {                                                          \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                   \
    }                                                                            \
  } while (0)

#endif
