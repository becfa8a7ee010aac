/*
 * Preloaded into a process, counts what it makes durable and may delay it, so that a bench means something on a disk whose
 * flushes are fast.
 *
 *   FSYNC_COUNTER   a file of 16 bytes: the number of flushes, then that of writes through a descriptor opened with O_DSYNC
 *   FSYNC_DELAY_US  microseconds added to each flush
 *   FSYNC_DELAY_DSYNC  when set, added to each O_DSYNC write too: LMDB writes its meta page with one after each fdatasync
 *
 * sync_file_range(2) is left alone: it makes nothing durable.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static struct {
  _Atomic uint64_t flushes;
  _Atomic uint64_t dsync_writes;
} local, *counters = (void *)&local;
static long delay_us;
static int delays_dsync;

__attribute__((constructor)) static void prepare(void) {
  const char *delay = getenv("FSYNC_DELAY_US");
  const char *path = getenv("FSYNC_COUNTER");
  delay_us = delay ? atol(delay) : 0;
  delays_dsync = getenv("FSYNC_DELAY_DSYNC") != NULL;
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *map = mmap(NULL, sizeof local, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map != MAP_FAILED) counters = map;
  close(fd);
}

static void pause_here(void) {
  struct timespec delay = {delay_us / 1000000, delay_us % 1000000 * 1000};
  if (delay_us > 0) nanosleep(&delay, NULL);
}

static void flushed(void) {
  atomic_fetch_add(&counters->flushes, 1);
  pause_here();
}

static void written(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || !(flags & O_DSYNC)) return;
  atomic_fetch_add(&counters->dsync_writes, 1);
  if (delays_dsync) pause_here();
}

#define NEXT(name) \
  static __typeof__(name) *next; \
  if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

int fsync(int fd) {
  NEXT(fsync);
  int result = next(fd);
  flushed();
  return result;
}

int fdatasync(int fd) {
  NEXT(fdatasync);
  int result = next(fd);
  flushed();
  return result;
}

int syncfs(int fd) {
  NEXT(syncfs);
  int result = next(fd);
  flushed();
  return result;
}

int msync(void *address, size_t length, int flags) {
  NEXT(msync);
  int result = next(address, length, flags);
  if (flags & MS_SYNC) flushed();
  return result;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  NEXT(write);
  ssize_t result = next(fd, bytes, count);
  written(fd);
  return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  NEXT(pwrite);
  ssize_t result = next(fd, bytes, count, offset);
  written(fd);
  return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  NEXT(pwrite64);
  ssize_t result = next(fd, bytes, count, offset);
  written(fd);
  return result;
}
