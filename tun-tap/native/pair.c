/*
 * A wire inside this process: two sockets, and what is written into one is read from the other, message by message. To the
 * data path an end of it is like a TAP, whose messages too are a virtio-net header and a frame.
 */
#include "native.h"

#include "args.h"

#include <errno.h>
#include <sys/socket.h>

/* openPair(Int32Array of 2): both descriptors, non-blocking -> 0 or errno */
static napi_value open_pair(napi_env env, napi_callback_info info) {
  struct args a;
  int32_t *ends;
  size_t n;
  int fds[2];
  if (!args_read(env, info, 1, &a) || !args_int32s(env, a.at[0], &ends, &n)) return NULL;
  if (n < 2) return value_int(env, EINVAL);
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) return value_int(env, errno);
  ends[0] = fds[0];
  ends[1] = fds[1];
  return value_int(env, 0);
}

int pair_register(napi_env env, napi_value exports) { return args_method(env, exports, "openPair", open_pair); }
