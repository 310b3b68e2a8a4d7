/*
 * Gives up what a process may do and does not need (capabilities(7), PR_SET_NO_NEW_PRIVS and PR_SET_DUMPABLE of prctl(2)).
 * Linux keeps all but the last for each thread, and Node has threads before any JavaScript runs. So every thread is made to
 * act for itself, in a signal handler, as setuid(3) of the C library does it and with its signal: one that no thread can
 * block. Threads made later inherit. Called once at a start; nothing here is for the data path.
 */
#include "native.h"

#include "args.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* SIGSETXID of glibc, SIGCANCEL of musl: both keep it out of every mask that a program sets. */
#define UNMASKABLE 33
#define CAPABILITIES 64
/* The kernel's struct sigaction is shorter; its layout is the architecture's, and nothing here reads it. */
#define ACTION_BYTES 64
#define KERNEL_SIGSET_BYTES 8
#define MAX_THREADS 4096
#define PATIENCE_MS 2000

static uint64_t keep;
/* Written by the thread that has acted. */
static atomic_int acted, failure;

static int keeps(int capability) { return (int)(keep >> capability & 1); }

/* This thread only; async-signal-safe. 0 or errno. */
static int lose_here(void) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  for (int c = 0; c < CAPABILITIES; c++) {
    if (keeps(c)) continue;
    /* Without CAP_SETPCAP the bound stays; no_new_privs makes it one that nobody can reach. */
    if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1) prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0) == 1 &&
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, c, 0, 0) != 0)
      return errno;
  }
  struct __user_cap_header_struct who = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  struct __user_cap_data_struct have[2];
  if (syscall(SYS_capget, &who, have) != 0) return errno;
  uint32_t left = 0;
  for (int i = 0; i < 2; i++) {
    uint32_t mask = (uint32_t)(keep >> 32 * i);
    left |= (have[i].effective | have[i].permitted | have[i].inheritable) & ~mask;
    have[i].effective &= mask;
    have[i].permitted &= mask;
    have[i].inheritable &= mask;
  }
  /* A system call filter may forbid capset to a process that has nothing to give up. */
  if (left == 0) return 0;
  return syscall(SYS_capset, &who, have) == 0 ? 0 : errno;
}

static void on_signal(int number) {
  (void)number;
  int before = errno;
  int error = lose_here();
  if (error != 0) atomic_store(&failure, error);
  atomic_store(&acted, (int)syscall(SYS_gettid));
  errno = before;
}

static long raw_action(int number, const void *set, void *old) {
  return syscall(SYS_rt_sigaction, number, set, old, KERNEL_SIGSET_BYTES);
}

/* What the C library would hand the kernel to install `on_signal`; the library itself refuses UNMASKABLE. */
static int kernel_action(uint8_t out[ACTION_BYTES]) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
  sigfillset(&action.sa_mask);
  if (sigaction(SIGURG, &action, &before) != 0) return errno;
  long failed = raw_action(SIGURG, NULL, out);
  int error = failed ? errno : 0;
  sigaction(SIGURG, &before, NULL);
  return error;
}

/* Makes one other thread act. 0 when it has, or has ended. */
static int lose_there(int tid) {
  const struct timespec nap = {.tv_nsec = 100000};
  atomic_store(&acted, 0);
  if (syscall(SYS_tgkill, getpid(), tid, UNMASKABLE) != 0) return errno == ESRCH ? 0 : errno;
  for (int naps = 0; atomic_load(&acted) != tid; naps++) {
    if (naps * 0.1 > PATIENCE_MS) return ETIMEDOUT;
    if (syscall(SYS_tgkill, getpid(), tid, 0) != 0 && errno == ESRCH) return 0;
    nanosleep(&nap, NULL);
  }
  return atomic_load(&failure);
}

static int contains(const int *list, int count, int tid) {
  for (int i = 0; i < count; i++)
    if (list[i] == tid) return 1;
  return 0;
}

/* Every thread but this one, until a look finds none that has not acted. 0 or errno. */
static int lose_elsewhere(int *done) {
  int count = 0, found = 1;
  done[count++] = (int)syscall(SYS_gettid);
  while (found) {
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) return errno;
    found = 0;
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
      int tid = atoi(entry->d_name);
      if (tid <= 0 || contains(done, count, tid)) continue;
      int error = count < MAX_THREADS ? lose_there(tid) : EAGAIN;
      if (error != 0) {
        closedir(tasks);
        return error;
      }
      done[count++] = tid;
      found = 1;
    }
    closedir(tasks);
  }
  return 0;
}

/* confine(keep): bit n of `keep` is capability n -> 0 or errno */
static napi_value confine(napi_env env, napi_callback_info info) {
  struct args a;
  int64_t wanted;
  uint8_t action[ACTION_BYTES], before[ACTION_BYTES];
  if (!args_read(env, info, 1, &a) || !args_int(env, a.at[0], &wanted)) return NULL;
  keep = (uint64_t)wanted;
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return value_int(env, errno);
  int *done = calloc(MAX_THREADS, sizeof *done);
  if (!done) return value_int(env, ENOMEM);
  atomic_store(&failure, 0);
  int error = kernel_action(action);
  if (error == 0 && raw_action(UNMASKABLE, action, before) != 0) error = errno;
  if (error == 0) {
    error = lose_elsewhere(done);
    raw_action(UNMASKABLE, before, NULL);
  }
  /* Last, since a thread that may not signal others could not have come so far. */
  if (error == 0) error = lose_here();
  free(done);
  return value_int(env, error);
}

/* isDumpable() -> 0 or 1 */
static napi_value is_dumpable(napi_env env, napi_callback_info info) {
  (void)info;
  return value_int(env, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
}

int confine_register(napi_env env, napi_value exports) {
  return args_method(env, exports, "confine", confine) && args_method(env, exports, "isDumpable", is_dumpable);
}
