/*
 * Raw sockets for the lab, tests, capture and doctor: AF_PACKET on one interface (whole Ethernet frames in and out) and
 * ICMP echo. Batched receive fills a FrameBatch as the UDP sockets do.
 */
#include "native.h"

#include "address.h"
#include "args.h"
#include "batch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* openPacketSocket(name) -> fd, bound to the interface, every protocol, both directions */
static napi_value open_packet(napi_env env, napi_callback_info info) {
  struct args a;
  char name[IFNAMSIZ];
  if (!args_read(env, info, 1, &a) || !args_text(env, a.at[0], name, sizeof name)) return NULL;
  unsigned index = if_nametoindex(name);
  if (!index) return throw_errno(env, name, errno);
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
  if (fd < 0) return throw_errno(env, "packet socket", errno);
  int bytes = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) {
    int error = errno;
    close(fd);
    return throw_errno(env, name, error);
  }
  return value_int(env, fd);
}

/* sendPacket(fd, frame) -> 0 or errno */
static napi_value send_packet(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  uint8_t *frame;
  size_t n;
  if (!args_read(env, info, 2, &a) || !args_int(env, a.at[0], &fd) || !args_bytes(env, a.at[1], &frame, &n)) return NULL;
  return value_int(env, send((int)fd, frame, n, 0) < 0 ? errno : 0);
}

static napi_value receive_into(napi_env env, napi_callback_info info, int with_address) {
  struct args a;
  int64_t fd;
  struct batch b;
  if (!args_read(env, info, 2, &a) || !args_int(env, a.at[0], &fd) || !batch_from_object(env, a.at[1], &b)) return NULL;
  uint32_t n = 0;
  while (n < b.capacity) {
    union address from;
    struct sockaddr_ll link;
    socklen_t len = with_address ? sizeof from : sizeof link;
    uint8_t *slot = batch_slot(&b, n);
    ssize_t got = recvfrom((int)fd, slot, 65535, 0, with_address ? &from.any : (struct sockaddr *)&link, &len);
    if (got < 0) {
      if (errno == EINTR) continue;
      break;
    }
    int32_t *d = batch_desc(&b, n);
    memset(d, 0, DESC_STRIDE * sizeof *d);
    d[D_OFF] = (int32_t)(slot - b.bytes);
    d[D_LEN] = (int32_t)got;
    if (with_address) address_words(&from, batch_from(&b, n));
    else d[D_KIND] = link.sll_pkttype; /* PACKET_OUTGOING is 4 */
    n++;
  }
  return value_int(env, n);
}

static napi_value receive_packets(napi_env env, napi_callback_info info) { return receive_into(env, info, 0); }
static napi_value receive_icmp(napi_env env, napi_callback_info info) { return receive_into(env, info, 1); }

/* openIcmp(family 4|6) -> fd; v4 receives with the IP header in front, v6 without (RFC 3542) */
static napi_value open_icmp(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t family;
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &family)) return NULL;
  int fd = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                  family == 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
  return fd < 0 ? throw_errno(env, "ICMP socket", errno) : value_int(env, fd);
}

/* sendIcmp(fd, bytes, ip) -> 0 or errno */
static napi_value send_icmp(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd;
  uint8_t *bytes;
  size_t n;
  char text[ADDRESS_TEXT];
  union address to;
  if (!args_read(env, info, 3, &a) || !args_int(env, a.at[0], &fd) || !args_bytes(env, a.at[1], &bytes, &n) ||
      !args_text(env, a.at[2], text, sizeof text))
    return NULL;
  if (!address_parse(text, 0, &to)) return value_int(env, EINVAL);
  return value_int(env, sendto((int)fd, bytes, n, 0, &to.any, address_len(&to)) < 0 ? errno : 0);
}

int raw_register(napi_env env, napi_value exports) {
  return args_method(env, exports, "openPacketSocket", open_packet) &&
         args_method(env, exports, "sendPacket", send_packet) &&
         args_method(env, exports, "receivePackets", receive_packets) &&
         args_method(env, exports, "openIcmp", open_icmp) && args_method(env, exports, "sendIcmp", send_icmp) &&
         args_method(env, exports, "receiveIcmp", receive_icmp);
}
