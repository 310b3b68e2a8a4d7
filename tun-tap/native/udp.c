/*
 * UDP sockets for the data path: unconnected (a VXLAN peer answers from any source port), non-blocking, with large
 * buffers where CAP_NET_ADMIN allows, DF set and the kernel's own path-MTU cache ignored (IP_PMTUDISC_PROBE), and the
 * count of datagrams the kernel dropped because the buffer was full.
 */
#include "native.h"

#include "address.h"
#include "args.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

static int set_int(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}

/* A buffer beyond net.core.*mem_max needs CAP_NET_ADMIN; without it the limit is what one gets. */
static int set_buffer(int fd, int force, int plain, int bytes) {
  int granted = 0;
  socklen_t len = sizeof granted;
  if (set_int(fd, SOL_SOCKET, force, bytes) < 0) set_int(fd, SOL_SOCKET, plain, bytes);
  getsockopt(fd, SOL_SOCKET, plain, &granted, &len);
  return granted / 2; /* the kernel doubles what it was asked for */
}

static int drop_all(int fd) {
  struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
  struct sock_fprog program = {.len = 1, .filter = &none};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

/* Whether the kernel knows UDP_SEGMENT (4.18). A message can still be refused later, by the interface it leaves from. */
static int knows_segment(int fd) {
  int value;
  socklen_t len = sizeof value;
  return getsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, &len) == 0;
}

/*
 * openUdp(address, port, reusePort, receiveBytes, sendBytes, sendOnly, joined) -> {fd, port, receiveBufferBytes,
 * sendBufferBytes, segments, joins}; `joined` asks for UDP_GRO
 */
static napi_value open_udp(napi_env env, napi_callback_info info) {
  struct args a;
  char text[ADDRESS_TEXT];
  int64_t port, reuse, receive, send, send_only, joined;
  union address at;
  if (!args_read(env, info, 7, &a) || !args_text(env, a.at[0], text, sizeof text) || !args_int(env, a.at[1], &port) ||
      !args_int(env, a.at[2], &reuse) || !args_int(env, a.at[3], &receive) || !args_int(env, a.at[4], &send) ||
      !args_int(env, a.at[5], &send_only) || !args_int(env, a.at[6], &joined))
    return NULL;
  if (port < 0 || port > 65535 || !address_parse(text, (uint16_t)port, &at)) return throw_errno(env, text, EINVAL);
  int family = at.any.sa_family;
  int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return throw_errno(env, "UDP socket", errno);
  if (family == AF_INET6) {
    int only = !IN6_IS_ADDR_UNSPECIFIED(&at.v6.sin6_addr);
    set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, only);
    set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    /* Without it IPv6 cuts what exceeds the interface into fragments instead of saying EMSGSIZE. */
    set_int(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
  }
  set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  int granted_receive = set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, send_only ? 4096 : (int)receive);
  int granted_send = set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, (int)send);
  if ((reuse && set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0) || (send_only && drop_all(fd) < 0) ||
      bind(fd, &at.any, address_len(&at)) < 0) {
    int error = errno;
    close(fd);
    return throw_errno(env, text, error);
  }
  int joins = joined && !send_only && set_int(fd, SOL_UDP, UDP_GRO, 1) == 0;
  socklen_t len = sizeof at;
  getsockname(fd, &at.any, &len);
  napi_value out;
  napi_create_object(env, &out);
  napi_set_named_property(env, out, "fd", value_int(env, fd));
  napi_set_named_property(env, out, "port", value_int(env, ntohs(family == AF_INET ? at.v4.sin_port : at.v6.sin6_port)));
  napi_set_named_property(env, out, "receiveBufferBytes", value_int(env, granted_receive));
  napi_set_named_property(env, out, "sendBufferBytes", value_int(env, granted_send));
  napi_set_named_property(env, out, "segments", value_int(env, knows_segment(fd)));
  napi_set_named_property(env, out, "joins", value_int(env, joins));
  return out;
}

/*
 * steerByLane(fd, sockets) -> 0 or errno. Sockets that were bound to one port with SO_REUSEPORT get sealed datagrams (type 4)
 * by lane modulo their number, in the order in which they were bound, and everything else on the first. The program
 * sees the UDP payload: byte 0 is the type, the low half of byte 7 the lane (seal.h).
 */
static napi_value steer_by_lane(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd, sockets;
  if (!args_read(env, info, 2, &a) || !args_int(env, a.at[0], &fd) || !args_int(env, a.at[1], &sockets)) return NULL;
  if (sockets < 1 || sockets > 15) return throw_type(env, "steerByLane: 1 to 15 sockets");
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 4),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 7),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 15),
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (uint32_t)sockets),
      BPF_STMT(BPF_RET | BPF_A, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
  int failed = setsockopt((int)fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) < 0;
  return value_int(env, failed ? errno : 0);
}

/* sendDatagram(fd, bytes, ip, port) -> 0 or errno */
static napi_value send_datagram(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd, port;
  uint8_t *bytes;
  size_t n;
  char text[ADDRESS_TEXT];
  union address to, fitted, own;
  if (!args_read(env, info, 4, &a) || !args_int(env, a.at[0], &fd) || !args_bytes(env, a.at[1], &bytes, &n) ||
      !args_text(env, a.at[2], text, sizeof text) || !args_int(env, a.at[3], &port))
    return NULL;
  if (!address_parse(text, (uint16_t)port, &to)) return value_int(env, EINVAL);
  socklen_t len = sizeof own;
  if (getsockname((int)fd, &own.any, &len) < 0) return value_int(env, errno);
  if (!address_for(&to, own.any.sa_family, &fitted)) return value_int(env, EAFNOSUPPORT);
  ssize_t sent = sendto((int)fd, bytes, n, 0, &fitted.any, address_len(&fitted));
  return value_int(env, sent < 0 ? errno : 0);
}

/* sendRun(fd, bytes, ip, port, datagramBytes) -> 0 or errno: several datagrams as one UDP_SEGMENT message (udp(7)) */
static napi_value send_run(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd, port, size;
  uint8_t *bytes;
  size_t n;
  char text[ADDRESS_TEXT];
  union address to, fitted, own;
  union {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
  } control = {.bytes = {0}};
  if (!args_read(env, info, 5, &a) || !args_int(env, a.at[0], &fd) || !args_bytes(env, a.at[1], &bytes, &n) ||
      !args_text(env, a.at[2], text, sizeof text) || !args_int(env, a.at[3], &port) || !args_int(env, a.at[4], &size))
    return NULL;
  if (size < 1 || size > 65535 || !address_parse(text, (uint16_t)port, &to)) return value_int(env, EINVAL);
  socklen_t len = sizeof own;
  if (getsockname((int)fd, &own.any, &len) < 0) return value_int(env, errno);
  if (!address_for(&to, own.any.sa_family, &fitted)) return value_int(env, EAFNOSUPPORT);
  struct iovec v = {bytes, n};
  struct msghdr h = {.msg_name = &fitted, .msg_namelen = address_len(&fitted), .msg_iov = &v, .msg_iovlen = 1,
                     .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  struct cmsghdr *c = CMSG_FIRSTHDR(&h);
  uint16_t segment = (uint16_t)size;
  c->cmsg_level = SOL_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof segment);
  memcpy(CMSG_DATA(c), &segment, sizeof segment);
  return value_int(env, sendmsg((int)fd, &h, 0) < 0 ? errno : 0);
}

/* socketDrops(fd) -> datagrams dropped by the kernel since the socket was made (filter drops included) */
static napi_value socket_drops(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  uint32_t memory[SK_MEMINFO_VARS] = {0};
  socklen_t len = sizeof memory;
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &fd)) return NULL;
  getsockopt((int)fd, SOL_SOCKET, SO_MEMINFO, memory, &len);
  return value_int(env, memory[SK_MEMINFO_DROPS]);
}

/* localAddressFor(ip) -> text or null; connect on a UDP socket sends nothing */
static napi_value local_address(napi_env env, napi_callback_info info) {
  struct args a;
  char text[ADDRESS_TEXT];
  union address to;
  napi_value out;
  if (!args_read(env, info, 1, &a) || !args_text(env, a.at[0], text, sizeof text)) return NULL;
  napi_get_null(env, &out);
  if (!address_parse(text, 9, &to)) return out;
  int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return out;
  socklen_t len = sizeof to;
  if (connect(fd, &to.any, address_len(&to)) == 0 && getsockname(fd, &to.any, &len) == 0) {
    const void *ip = to.any.sa_family == AF_INET ? (const void *)&to.v4.sin_addr : (const void *)&to.v6.sin6_addr;
    if (inet_ntop(to.any.sa_family, ip, text, sizeof text)) napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &out);
  }
  close(fd);
  return out;
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &fd)) return NULL;
  close((int)fd);
  return value_undefined(env);
}

int udp_register(napi_env env, napi_value exports) {
  return args_method(env, exports, "openUdp", open_udp) &&
         args_method(env, exports, "steerByLane", steer_by_lane) && args_method(env, exports, "sendDatagram", send_datagram) &&
         args_method(env, exports, "sendRun", send_run) &&
         args_method(env, exports, "socketDrops", socket_drops) &&
         args_method(env, exports, "localAddressFor", local_address) && args_method(env, exports, "closeFd", close_fd);
}
