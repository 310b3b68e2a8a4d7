/*
 * What Node cannot do with UNIX sockets (unix(7)): send one datagram, which is how a service manager is told of a program's
 * state (sd_notify(3)), and ask who is at the other end of a connection. A name that begins with '@' is in the abstract
 * namespace. Never waits for a full receiver.
 */
#include "native.h"

#include "args.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
/* A peer in more groups is taken for a member of none of them. */
#define MAX_GROUPS 1024

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

/* peerCredentials(fd) -> Uint32Array of pid, uid, gid and supplementary groups, as they were when the peer connected */
static napi_value peer_credentials(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  struct ucred who;
  gid_t groups[MAX_GROUPS];
  socklen_t n = sizeof who, bytes = sizeof groups;
  napi_value buffer, out;
  uint32_t *words;
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &fd)) return NULL;
  if (getsockopt((int)fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0) return throw_errno(env, "SO_PEERCRED", errno);
  size_t count = getsockopt((int)fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) == 0 ? bytes / sizeof *groups : 0;
  if (napi_create_arraybuffer(env, (3 + count) * sizeof *words, (void **)&words, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_uint32_array, 3 + count, buffer, 0, &out) != napi_ok)
    return NULL;
  words[0] = (uint32_t)who.pid;
  words[1] = who.uid;
  words[2] = who.gid;
  memcpy(words + 3, groups, count * sizeof *groups);
  return out;
}

int unix_register(napi_env env, napi_value exports) {
  return args_method(env, exports, "sendUnixDatagram", send_unix_datagram) &&
         args_method(env, exports, "peerCredentials", peer_credentials);
}
