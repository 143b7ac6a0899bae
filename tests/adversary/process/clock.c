/* A wall clock that the adversary can move for one process, without any rights: loaded into it by
 * LD_PRELOAD, it adds to CLOCK_REALTIME what stands in the file that ADVERSARY_CLOCK names, as a
 * number of nanoseconds in the machine's own format. All other clocks are left alone, as they are
 * when an administrator or NTP moves the real one. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *moved;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("ADVERSARY_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof *moved, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED)
        moved = page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && moved) {
        const int64_t second = 1000000000;
        int64_t all = now->tv_sec * second + now->tv_nsec + *moved;
        now->tv_sec = all / second;
        now->tv_nsec = all % second;
    }
    return failed;
}
