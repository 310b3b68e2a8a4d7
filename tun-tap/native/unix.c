/*
 * One datagram to a UNIX socket (unix(7)), which Node cannot send. It is how a service manager is told of a program's
 * state (sd_notify(3)). A name that begins with '@' is in the abstract namespace. Never waits for a full receiver.
 */
#include "native.h"

#include "args.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* More than sun_path holds, so that a name that does not fit is told apart. */
#define NAME_TEXT 256

/* Length of the address, 0 if the name is neither an absolute path nor abstract, or does not fit. */
static socklen_t unix_address(const char *name, struct sockaddr_un *out) {
  size_t n = strlen(name);
  if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof out->sun_path) return 0;
  memset(out, 0, sizeof *out);
  out->sun_family = AF_UNIX;
  memcpy(out->sun_path, name, n);
  if (name[0] == '@') out->sun_path[0] = 0;
  /* An abstract name is as long as the address says; a path ends with its NUL. */
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
}

/* sendUnixDatagram(name, bytes) -> 0 or errno */
static napi_value send_unix_datagram(napi_env env, napi_callback_info info) {
  struct args a;
  char name[NAME_TEXT];
  uint8_t *bytes;
  size_t n;
  struct sockaddr_un to;
  if (!args_read(env, info, 2, &a) || !args_text(env, a.at[0], name, sizeof name) || !args_bytes(env, a.at[1], &bytes, &n))
    return NULL;
  socklen_t len = unix_address(name, &to);
  if (len == 0) return value_int(env, EINVAL);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return value_int(env, errno);
  ssize_t sent = sendto(fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, len);
  int error = sent < 0 ? errno : 0;
  close(fd);
  return value_int(env, error);
}

int unix_register(napi_env env, napi_value exports) {
  return args_method(env, exports, "sendUnixDatagram", send_unix_datagram);
}
