/*
 * TAP devices (Documentation/networking/tuntap.rst): opened with a virtio-net header before every frame, so that partial
 * checksums and later segmentation offloads travel with it; non-blocking; and the three settings of an interface that
 * need no netlink: address, MTU, up.
 */
#include "native.h"

#include "args.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* Linux 6.2; headers of Debian 12 are older */
#define TUN_F_USO6 0x40
#endif
#define USO (TUN_F_USO4 | TUN_F_USO6)

/*
 * What the kernel may leave undone in the frames it hands over, of what is asked for: older kernels refuse the whole set
 * when they do not know one flag, so the newest go first. Returns what it took, or -errno.
 */
static int set_offloads(int fd, int wanted) {
  const int rungs[] = {wanted, wanted & ~USO, wanted & ~(USO | TUN_F_TSO_ECN), wanted & TUN_F_CSUM, 0};
  int error = EINVAL;
  for (size_t i = 0; i < sizeof rungs / sizeof *rungs; i++) {
    if (ioctl(fd, TUNSETOFFLOAD, rungs[i]) == 0) return rungs[i];
    error = errno;
  }
  return -error;
}

/* openTap(name, multiQueue, offloads: TUN_F_*) -> {fd, name, offloads} */
static napi_value open_tap(napi_env env, napi_callback_info info) {
  struct args a;
  struct ifreq r;
  char what[64];
  int64_t multi, wanted;
  memset(&r, 0, sizeof r);
  if (!args_read(env, info, 3, &a) || !args_text(env, a.at[0], r.ifr_name, IFNAMSIZ) ||
      !args_int(env, a.at[1], &multi) || !args_int(env, a.at[2], &wanted))
    return NULL;
  snprintf(what, sizeof what, "TAP %.15s", r.ifr_name);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return throw_errno(env, "/dev/net/tun", errno);
  r.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0));
  int header = VNET_HDR_BYTES;
  int error = ioctl(fd, TUNSETIFF, &r) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ? errno : 0;
  int taken = error ? -error : set_offloads(fd, (int)wanted);
  if (taken < 0) {
    close(fd);
    return throw_errno(env, what, -taken);
  }
  napi_value out, name;
  napi_create_object(env, &out);
  napi_create_string_utf8(env, r.ifr_name, NAPI_AUTO_LENGTH, &name);
  napi_set_named_property(env, out, "fd", value_int(env, fd));
  napi_set_named_property(env, out, "name", name);
  napi_set_named_property(env, out, "offloads", value_int(env, taken));
  return out;
}

/*
 * probeSuperFrame(fd) -> 0, or the errno of writing a TCP super-frame of two segments. Some stable kernels (6.1.x and 6.6.44
 * without 89add40066f9) refuse all of them with EINVAL. Source and destination are locally administered addresses that
 * nobody has: the stack drops the frame as meant for another host. The interface must be up.
 */
static napi_value probe_super_frame(napi_env env, napi_callback_info info) {
  enum { HEADERS = 54, SEGMENT = 256 };
  struct args a;
  int64_t fd;
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &fd)) return NULL;
  uint8_t frame[HEADERS + 2 * SEGMENT] = {2, 'w', 'e', 'f', 't', 1, 2, 'w', 'e', 'f', 't', 2, 8, 0, 0x45};
  const size_t packet = sizeof frame - 14;
  frame[16] = (uint8_t)(packet >> 8);
  frame[17] = (uint8_t)packet;
  frame[20] = 0x40;
  frame[22] = 1;
  frame[23] = 6;
  memcpy(frame + 26, (const uint8_t[]){192, 0, 2, 1, 192, 0, 2, 2}, 8); /* TEST-NET-1, RFC 5737 */
  frame[35] = frame[37] = 9;
  frame[46] = 5 << 4;
  frame[47] = 0x10;
  struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = HEADERS,
                             .gso_size = SEGMENT, .csum_start = 34, .csum_offset = 16};
  struct iovec v[2] = {{&h, VNET_HDR_BYTES}, {frame, sizeof frame}};
  return value_int(env, writev((int)fd, v, 2) < 0 ? errno : 0);
}

/* setTapQueue(fd, on) -> 0 or errno. A queue that is off gets no frames; it may still be written to. */
static napi_value set_tap_queue(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t fd, on;
  struct ifreq r;
  memset(&r, 0, sizeof r);
  if (!args_read(env, info, 2, &a) || !args_int(env, a.at[0], &fd) || !args_int(env, a.at[1], &on)) return NULL;
  r.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
  return value_int(env, ioctl((int)fd, TUNSETQUEUE, &r) < 0 ? errno : 0);
}

/* One ioctl on an interface by name; 0 or errno. */
static int interface_ioctl(unsigned long request, struct ifreq *r) {
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) return errno;
  int error = ioctl(s, request, r) < 0 ? errno : 0;
  close(s);
  return error;
}

static int read_name(napi_env env, napi_value v, struct ifreq *r) {
  memset(r, 0, sizeof *r);
  return args_text(env, v, r->ifr_name, IFNAMSIZ);
}

/* setMac(name, mac) */
static napi_value set_mac(napi_env env, napi_callback_info info) {
  struct args a;
  struct ifreq r;
  uint8_t *mac;
  size_t n;
  if (!args_read(env, info, 2, &a) || !read_name(env, a.at[0], &r) || !args_bytes(env, a.at[1], &mac, &n)) return NULL;
  if (n != 6) return throw_type(env, "a MAC address has 6 bytes");
  r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  memcpy(r.ifr_hwaddr.sa_data, mac, 6);
  int error = interface_ioctl(SIOCSIFHWADDR, &r);
  return error ? throw_errno(env, "set MAC address", error) : value_undefined(env);
}

/* setMtu(name, bytes) */
static napi_value set_mtu(napi_env env, napi_callback_info info) {
  struct args a;
  struct ifreq r;
  int64_t mtu;
  if (!args_read(env, info, 2, &a) || !read_name(env, a.at[0], &r) || !args_int(env, a.at[1], &mtu)) return NULL;
  r.ifr_mtu = (int)mtu;
  int error = interface_ioctl(SIOCSIFMTU, &r);
  return error ? throw_errno(env, "set MTU", error) : value_undefined(env);
}

/* setUp(name) */
static napi_value set_up(napi_env env, napi_callback_info info) {
  struct args a;
  struct ifreq r;
  if (!args_read(env, info, 1, &a) || !read_name(env, a.at[0], &r)) return NULL;
  int error = interface_ioctl(SIOCGIFFLAGS, &r);
  if (!error) {
    r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
    error = interface_ioctl(SIOCSIFFLAGS, &r);
  }
  return error ? throw_errno(env, "set interface up", error) : value_undefined(env);
}

static napi_value get_index(napi_env env, napi_callback_info info) {
  struct args a;
  struct ifreq r;
  if (!args_read(env, info, 1, &a) || !read_name(env, a.at[0], &r)) return NULL;
  unsigned index = if_nametoindex(r.ifr_name);
  return index ? value_int(env, index) : throw_errno(env, r.ifr_name, errno);
}

static napi_value get_mtu(napi_env env, napi_callback_info info) {
  struct args a;
  struct ifreq r;
  if (!args_read(env, info, 1, &a) || !read_name(env, a.at[0], &r)) return NULL;
  int error = interface_ioctl(SIOCGIFMTU, &r);
  return error ? throw_errno(env, "get MTU", error) : value_int(env, r.ifr_mtu);
}

static napi_value get_mac(napi_env env, napi_callback_info info) {
  struct args a;
  struct ifreq r;
  if (!args_read(env, info, 1, &a) || !read_name(env, a.at[0], &r)) return NULL;
  int error = interface_ioctl(SIOCGIFHWADDR, &r);
  if (error) return throw_errno(env, "get MAC address", error);
  napi_value buffer, out;
  void *data;
  if (napi_create_arraybuffer(env, 6, &data, &buffer) != napi_ok) return NULL;
  memcpy(data, r.ifr_hwaddr.sa_data, 6);
  napi_create_typedarray(env, napi_uint8_array, 6, buffer, 0, &out);
  return out;
}

int tap_register(napi_env env, napi_value exports) {
  return args_method(env, exports, "openTap", open_tap) &&
         args_method(env, exports, "setTapQueue", set_tap_queue) &&
         args_method(env, exports, "probeSuperFrame", probe_super_frame) && args_method(env, exports, "setMac", set_mac) &&
         args_method(env, exports, "setMtu", set_mtu) && args_method(env, exports, "setUp", set_up) &&
         args_method(env, exports, "interfaceIndex", get_index) &&
         args_method(env, exports, "interfaceMtu", get_mtu) && args_method(env, exports, "interfaceMac", get_mac);
}
