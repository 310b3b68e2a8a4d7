/*
 * One blocking wait over TAPs, sockets and an eventfd. No spinning: on two cores it steals the time that the other
 * worker needs. The eventfd is how another thread ends the wait. What woke the worker may be read before the wait
 * returns (ahead.h).
 *
 *   poll --> clock --> sealed socket ready: a batch of it     --> ready bits, and what was read
 *                  \-> else, TAP ready: its frames           /
 *
 * With both ready the socket goes first and the TAP waits: what is written to the TAP is often answered at once, and the
 * answer is read together with what was there.
 */
#include "native.h"

#include "ahead.h"
#include "args.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX_FDS 31

/* Words of what was read ahead; wait-set.ts says the same. */
enum ahead_word { AHEAD_FRAMES, AHEAD_DATAGRAMS, AHEAD_WORDS };

struct wait_set {
  nfds_t count;
  struct pollfd fds[WAIT_MAX_FDS];
  /* Both in memory of JavaScript; NULL before readAhead. */
  double *clock;
  int32_t *ahead;
  struct transmitter *transmitter; /* of the TAP at fds[tap] */
  struct receiver *receiver;       /* of the sealed socket at fds[sealed] */
  uint32_t tap, sealed;
  napi_ref kept[4];
};

static void wait_free(napi_env env, void *data, void *hint) {
  struct wait_set *set = data;
  (void)hint;
  for (int i = 0; i < 4; i++)
    if (set->kept[i]) napi_delete_reference(env, set->kept[i]);
  free(set);
}

/* new WaitSet(Int32Array of fds) */
static napi_value wait_new(napi_env env, napi_callback_info info) {
  struct args a;
  int32_t *fds;
  size_t n;
  napi_value self;
  if (!args_read(env, info, 1, &a) || !args_int32s(env, a.at[0], &fds, &n)) return NULL;
  if (n < 1 || n > WAIT_MAX_FDS) return throw_type(env, "a wait set holds 1 to 31 descriptors");
  struct wait_set *set = calloc(1, sizeof *set);
  if (!set) return throw_errno(env, "wait set", ENOMEM);
  set->count = n;
  for (size_t i = 0; i < n; i++) set->fds[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
  napi_get_cb_info(env, info, NULL, NULL, &self, NULL);
  if (napi_wrap(env, self, set, wait_free, NULL, NULL) != napi_ok) {
    free(set);
    return NULL;
  }
  return self;
}

static int clock_at(napi_env env, napi_value value, double **out) {
  napi_typedarray_type type;
  size_t n;
  void *at;
  if (napi_get_typedarray_info(env, value, &type, &n, &at, NULL, NULL) != napi_ok || type != napi_float64_array || n < 1) {
    throw_type(env, "expected a Float64Array");
    return 0;
  }
  *out = at;
  return 1;
}

/* CLOCK_MONOTONIC in milliseconds. */
static double clock_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The object at `value` and what it wraps; nothing for null. False with a pending exception for anything else. */
static int attach(napi_env env, napi_value value, napi_ref *kept, void **out) {
  napi_valuetype type;
  *out = NULL;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_null) return 1;
  if (napi_unwrap(env, value, out) == napi_ok && napi_create_reference(env, value, 1, kept) == napi_ok) return 1;
  throw_type(env, "readAhead: expected a Transmitter, a Receiver or null");
  return 0;
}

/* readAhead(clock, ahead, transmitter or null, its place in the set, receiver or null, its place); once for a set */
static napi_value wait_read_ahead(napi_env env, napi_callback_info info) {
  struct args a;
  double *clock;
  int32_t *ahead;
  size_t words;
  int64_t tap, sealed;
  void *transmitter, *receiver;
  if (!args_read(env, info, 6, &a) || !a.self || !clock_at(env, a.at[0], &clock) ||
      !args_int32s(env, a.at[1], &ahead, &words) || !args_int(env, a.at[3], &tap) || !args_int(env, a.at[5], &sealed))
    return NULL;
  struct wait_set *set = a.self;
  if (set->ahead || words < AHEAD_WORDS) return throw_type(env, "readAhead: once for a set, with two words");
  if (!attach(env, a.at[2], &set->kept[0], &transmitter) || !attach(env, a.at[4], &set->kept[1], &receiver)) return NULL;
  if ((transmitter && (tap < 0 || (nfds_t)tap >= set->count)) || (receiver && (sealed < 0 || (nfds_t)sealed >= set->count)))
    return throw_type(env, "readAhead: no such descriptor in the set");
  napi_create_reference(env, a.at[0], 1, &set->kept[2]);
  napi_create_reference(env, a.at[1], 1, &set->kept[3]);
  set->transmitter = transmitter;
  set->receiver = receiver;
  set->tap = (uint32_t)tap;
  set->sealed = (uint32_t)sealed;
  set->clock = clock;
  set->ahead = ahead;
  return value_undefined(env);
}

static void read_ahead(struct wait_set *set) {
  *set->clock = clock_ms();
  set->ahead[AHEAD_FRAMES] = 0;
  set->ahead[AHEAD_DATAGRAMS] = 0;
  if (set->receiver && set->fds[set->sealed].revents)
    set->ahead[AHEAD_DATAGRAMS] = receiver_read(set->receiver, set->fds[set->sealed].fd);
  else if (set->transmitter && set->fds[set->tap].revents)
    set->ahead[AHEAD_FRAMES] = transmitter_read(set->transmitter, set->fds[set->tap].fd);
}

/* wait(timeoutMs) -> bit i set: descriptor i is readable or broken; 0 after the time-out or a signal */
static napi_value wait_wait(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t timeout;
  int32_t ready = 0;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &timeout)) return NULL;
  struct wait_set *set = a.self;
  if (poll(set->fds, set->count, (int)timeout) > 0) {
    for (nfds_t i = 0; i < set->count; i++)
      if (set->fds[i].revents) ready |= (int32_t)(1u << i);
  } else {
    /* poll leaves them as they were when it fails (EINTR). */
    for (nfds_t i = 0; i < set->count; i++) set->fds[i].revents = 0;
  }
  if (set->ahead) read_ahead(set);
  return value_int(env, ready);
}

static napi_value event_new(napi_env env, napi_callback_info info) {
  (void)info;
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? throw_errno(env, "eventfd", errno) : value_int(env, fd);
}

static napi_value event_signal(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &fd)) return NULL;
  uint64_t one = 1;
  ssize_t n = write((int)fd, &one, sizeof one);
  return value_int(env, n < 0 ? errno : 0);
}

static napi_value event_drain(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &fd)) return NULL;
  uint64_t count = 0;
  ssize_t n = read((int)fd, &count, sizeof count);
  return value_int(env, n < 0 ? 0 : (int64_t)count);
}

/* readClock(Float64Array): clock_ms to [0]. A number returned would be a heap object per call. */
static napi_value read_clock(napi_env env, napi_callback_info info) {
  struct args a;
  double *at;
  if (!args_read(env, info, 1, &a) || !clock_at(env, a.at[0], &at)) return NULL;
  *at = clock_ms();
  return NULL;
}

int wait_register(napi_env env, napi_value exports) {
  napi_property_descriptor methods[] = {{"wait", NULL, wait_wait, NULL, NULL, NULL, napi_default, NULL},
                                        {"readAhead", NULL, wait_read_ahead, NULL, NULL, NULL, napi_default, NULL}};
  napi_value type;
  return napi_define_class(env, "WaitSet", NAPI_AUTO_LENGTH, wait_new, NULL, 2, methods, &type) == napi_ok &&
         napi_set_named_property(env, exports, "WaitSet", type) == napi_ok &&
         args_method(env, exports, "createEventFd", event_new) &&
         args_method(env, exports, "signalEventFd", event_signal) &&
         args_method(env, exports, "drainEventFd", event_drain) && args_method(env, exports, "readClock", read_clock);
}
