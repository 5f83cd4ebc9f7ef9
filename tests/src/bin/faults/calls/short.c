/* A write that writes half of what it was asked to, and says so. SHORT names where: thread:call:number:what, in the
 * supervisor alone; `half` once, or `full`: the disk has room for that half and for nothing more of the same file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char thread[32], call[32], what[32];
static int number;
static _Thread_local int written, pwritten;
static int done, full = -1;

__attribute__((constructor)) static void begin(void) {
    const char *order = getenv("SHORT");
    char line[4096] = {0};
    FILE *file = fopen("/proc/self/cmdline", "r");
    if (!order || !file) return;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    /* The supervisor is told by the last word of its command. */
    if (length < 4 || memcmp(line + length - 4, "run", 4) != 0) return;
    if (sscanf(order, "%31[^:]:%31[^:]:%d:%31s", thread, call, &number, what) != 4) number = 0;
}

static int is_ours(int fd) {
    char name[32] = {0}, link[64], path[4096] = {0};
    struct stat stat;
    if (number == 0 || fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) < 4 || strcmp(path + strlen(path) - 4, "/log") == 0) return 0;
    prctl(PR_GET_NAME, name);
    return syscall(SYS_gettid) == getpid() ? strcmp(thread, "main") == 0 : strcmp(thread, name) == 0;
}

/* How many bytes may be written: all, half, or -1 where there is no room. */
static ssize_t room(int fd, const char *name, int *count, size_t length) {
    ++*count;
    if (full == fd && is_ours(fd)) return -1;
    if (done || length < 2 || strcmp(call, name) != 0 || *count < number || !is_ours(fd)) return (ssize_t)length;
    done = 1;
    if (strcmp(what, "full") == 0) full = fd;
    return (ssize_t)(length / 2);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t (*kernel)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    ssize_t most = room(fd, "write", &written, length);
    if (most < 0) { errno = ENOSPC; return -1; }
    return kernel(fd, bytes, (size_t)most);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    ssize_t (*kernel)(int, const void *, size_t, off64_t) =
        (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    ssize_t most = room(fd, "pwrite64", &pwritten, length);
    if (most < 0) { errno = ENOSPC; return -1; }
    return kernel(fd, bytes, (size_t)most, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }
