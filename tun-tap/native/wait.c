/*
 * One blocking wait over TAPs, sockets and an eventfd. No spinning: on two cores it steals the time that the other
 * worker needs. The eventfd is how another thread ends the wait.
 */
#include "native.h"

#include "args.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX_FDS 31

struct wait_set {
  nfds_t count;
  struct pollfd fds[WAIT_MAX_FDS];
};

static void wait_free(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
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

/* wait(timeoutMs) -> bit i set: descriptor i is readable or broken; 0 after the time-out or a signal */
static napi_value wait_wait(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t timeout;
  int32_t ready = 0;
  if (!args_read(env, info, 1, &a) || !a.self || !args_int(env, a.at[0], &timeout)) return NULL;
  struct wait_set *set = a.self;
  if (poll(set->fds, set->count, (int)timeout) > 0)
    for (nfds_t i = 0; i < set->count; i++)
      if (set->fds[i].revents) ready |= (int32_t)(1u << i);
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

/* readClock(Float64Array): CLOCK_MONOTONIC in milliseconds to [0]. A number returned would be a heap object per call. */
static napi_value read_clock(napi_env env, napi_callback_info info) {
  struct args a;
  napi_typedarray_type type;
  size_t n;
  void *at;
  struct timespec t;
  if (!args_read(env, info, 1, &a)) return NULL;
  if (napi_get_typedarray_info(env, a.at[0], &type, &n, &at, NULL, NULL) != napi_ok || type != napi_float64_array || n < 1)
    return throw_type(env, "expected a Float64Array");
  clock_gettime(CLOCK_MONOTONIC, &t);
  *(double *)at = (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
  return NULL;
}

int wait_register(napi_env env, napi_value exports) {
  napi_property_descriptor methods[] = {{"wait", NULL, wait_wait, NULL, NULL, NULL, napi_default, NULL}};
  napi_value type;
  return napi_define_class(env, "WaitSet", NAPI_AUTO_LENGTH, wait_new, NULL, 1, methods, &type) == napi_ok &&
         napi_set_named_property(env, exports, "WaitSet", type) == napi_ok &&
         args_method(env, exports, "createEventFd", event_new) &&
         args_method(env, exports, "signalEventFd", event_signal) &&
         args_method(env, exports, "drainEventFd", event_drain) && args_method(env, exports, "readClock", read_clock);
}
