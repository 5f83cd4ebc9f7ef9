/* Rust's standard library waits until a moment of the monotonic clock, and tells the kernel directly (futex), past
 * libfaketime. Such a moment is by the fast clock: here it becomes one by the kernel's. Stands before libfaketime in
 * LD_PRELOAD; FAST says how fast the clock is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const long long SECOND = 1000000000;

static long long ns(const struct timespec *time) { return time->tv_sec * SECOND + time->tv_nsec; }

long syscall(long number, ...) {
    long (*kernel)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    struct timespec until;
    long call = a[1] & ~(long)FUTEX_PRIVATE_FLAG;
    /* With FUTEX_CLOCK_REALTIME it would be another call. */
    if (number == SYS_futex && call == FUTEX_WAIT_BITSET && a[3]) {
        const char *fast = getenv("FAST");
        struct timespec faked, now;
        clock_gettime(CLOCK_MONOTONIC, &faked);
        kernel(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
        long long left = (ns((struct timespec *)a[3]) - ns(&faked)) / (fast ? atoll(fast) : 1);
        long long end = ns(&now) + (left > 0 ? left : 0);
        until.tv_sec = end / SECOND;
        until.tv_nsec = end % SECOND;
        a[3] = (long)&until;
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
