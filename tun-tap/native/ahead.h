/*
 * What a wait reads ahead. A worker that is woken finds its caches cold: it goes from the poll straight to the descriptor
 * that woke it, and to TypeScript when there is something to decide, instead of to TypeScript and back in between.
 */
#ifndef TUN_TAP_AHEAD_H
#define TUN_TAP_AHEAD_H

#include <stdint.h>

struct transmitter;
struct receiver;

/* Set in what a receiver returns where the batch was full, so more may wait; else the socket was empty. receiver.ts says the same. */
#define BATCH_FULL (1 << 20)

/* Drains the TAP until it is empty or the batch is full. Frames read, or -errno when the TAP is gone and nothing was read. */
int32_t transmitter_read(struct transmitter *x, int fd);
/* Receives and opens one batch of a sealed port. Descriptors filled, and BATCH_FULL. */
int32_t receiver_read(struct receiver *r, int fd);

#endif
