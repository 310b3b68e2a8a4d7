/*
 * IP addresses between text, socket addresses and the six words of FrameBatch.from: family (4 or 6), port, then the
 * 16-byte IPv6 or IPv4-mapped address as four big-endian words.
 */
#ifndef TUN_TAP_ADDRESS_H
#define TUN_TAP_ADDRESS_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* Length of the address text that an IPv6 literal needs at most, with its NUL. */
#define ADDRESS_TEXT 64

/* Parses an IP literal. 0 if it is none. */
int address_parse(const char *text, uint16_t port, union address *out);
/* As a socket of `family` needs it: an IPv4 address is mapped for an AF_INET6 socket. 0 if that cannot be. */
int address_for(const union address *in, int family, union address *out);
socklen_t address_len(const union address *a);
/* Writes the six words; a mapped address becomes family 4. */
void address_words(const union address *a, int32_t *words);
/* The other way. 0 if they are no address. */
int address_from_words(const int32_t *words, union address *out);

#endif
