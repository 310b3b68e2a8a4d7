/* See sessions.h. */
#include "sessions.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

/* Indices are random already; Fibonacci hashing spreads the ones that are not. */
static uint32_t home(const struct sessions *t, uint32_t index) { return ((index >> 4) * 2654435769u >> 7) & t->mask; }

int sessions_init(struct sessions *t, uint32_t max, int worker, int workers) {
  uint32_t size = 16;
  while (size < max * 2) size *= 2;
  *t = (struct sessions){.max = max, .mask = size - 1, .worker = worker, .workers = workers};
  t->table = calloc(size, sizeof *t->table);
  return t->table != NULL;
}

static void session_free(struct session *s) {
  for (int i = 0; i < LANES; i++)
    if (s->lane[i]) {
      aead_free(s->lane[i]->key);
      free(s->lane[i]);
    }
  OPENSSL_cleanse(s, sizeof *s);
  free(s);
}

void sessions_free(struct sessions *t) {
  if (!t->table) return;
  for (uint32_t i = 0; i <= t->mask; i++)
    if (t->table[i]) session_free(t->table[i]);
  free(t->table);
  t->table = NULL;
}

static uint32_t locate(const struct sessions *t, uint32_t index) {
  uint32_t i = home(t, index);
  while (t->table[i] && t->table[i]->index != index) i = (i + 1) & t->mask;
  return i;
}

struct session *sessions_find(const struct sessions *t, uint32_t index) { return t->table[locate(t, index)]; }

int sessions_install(struct sessions *t, uint32_t index, int suite, int inner, const uint8_t *keys, uint32_t lanes,
                     int32_t tunnel) {
  sessions_remove(t, index);
  if (t->count >= t->max) return 0;
  struct session *s = calloc(1, sizeof *s);
  if (!s) return 0;
  s->index = index;
  s->suite = (uint8_t)suite;
  s->inner = (uint8_t)inner;
  s->lanes = (uint16_t)lanes;
  s->tunnel = tunnel;
  memcpy(s->keys, keys, sizeof s->keys);
  t->table[locate(t, index)] = s;
  t->count++;
  return 1;
}

void sessions_remove(struct sessions *t, uint32_t index) {
  uint32_t i = locate(t, index);
  if (!t->table[i]) return;
  session_free(t->table[i]);
  t->table[i] = NULL;
  t->count--;
  /* Close the gap (Knuth 6.4 R): entries that probed past it must stay reachable. */
  for (uint32_t j = (i + 1) & t->mask; t->table[j]; j = (j + 1) & t->mask) {
    uint32_t h = home(t, t->table[j]->index);
    if (((j - h) & t->mask) >= ((j - i) & t->mask)) {
      t->table[i] = t->table[j];
      t->table[j] = NULL;
      i = j;
    }
  }
}

int sessions_lane_is_ours(const struct sessions *t, const struct session *s, int lane) {
  if (!((s->lanes >> lane) & 1)) return 0;
  return lane == LANE_CONTROL || lane % t->workers == t->worker;
}

struct lane *session_lane(struct session *s, int lane) {
  if (s->lane[lane]) return s->lane[lane];
  struct lane *l = calloc(1, sizeof *l);
  if (!l) return NULL;
  l->key = aead_new(s->suite, s->keys[lane], 0);
  if (!l->key) {
    free(l);
    return NULL;
  }
  s->lane[lane] = l;
  return l;
}
