/*
 * Frames that the agent itself puts into a TAP, such as an ICMP message to a host behind it: rare, one at a time, plain
 * (a virtio-net header of zeros: no checksum left to do, no segmentation).
 */
#include "native.h"

#include "args.h"

#include <errno.h>
#include <sys/uio.h>

/* injectFrame(fd, bytes, offset, length) -> 0 or errno */
static napi_value inject_frame(napi_env env, napi_callback_info info) {
  static const uint8_t none[VNET_HDR_BYTES];
  struct args a;
  int64_t fd, offset, length;
  uint8_t *bytes;
  size_t n;
  if (!args_read(env, info, 4, &a) || !args_int(env, a.at[0], &fd) || !args_bytes(env, a.at[1], &bytes, &n) ||
      !args_int(env, a.at[2], &offset) || !args_int(env, a.at[3], &length))
    return NULL;
  if (offset < 0 || length < 14 || (uint64_t)offset + (uint64_t)length > n) return value_int(env, EINVAL);
  struct iovec v[2] = {{(void *)none, VNET_HDR_BYTES}, {bytes + offset, (size_t)length}};
  ssize_t written;
  do written = writev((int)fd, v, 2);
  while (written < 0 && errno == EINTR);
  return value_int(env, written < 0 ? errno : 0);
}

int inject_register(napi_env env, napi_value exports) { return args_method(env, exports, "injectFrame", inject_frame); }
