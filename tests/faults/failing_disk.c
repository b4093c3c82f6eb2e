/* A disk that fails on command, preloaded into the processes of a cluster: of one path, what begins with it, writes,
 * syncs and new files fail with an errno of the test's choice, from a byte or a call on and as long as it likes. The
 * command lies in a file that all processes map, so that it outlives each of them. See disk_errors.py. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2, SECTOR = 512 };

/* `Command` of disk_errors.py has the same fields. */
struct command {
    int32_t error;    /* the errno; 0: everything works */
    int32_t calls;    /* which calls fail */
    int32_t in_bytes; /* whether `left` counts bytes written, or calls of the kind that fails */
    int32_t whole;    /* whether the path is meant alone, and not what begins with it, too */
    int64_t left;     /* what still succeeds */
    int64_t failed;   /* how many calls failed */
    char path[480];
};

static volatile struct command *command;

__attribute__((constructor)) static void map_command(void)
{
    const char *path = getenv("MADAN_SARA_FAILING_DISK");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *command, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        command = mapped;
}

static int is_meant(const char *path)
{
    const char *wanted = (const char *)command->path;
    return command->whole ? strcmp(path, wanted) == 0 : strncmp(path, wanted, strlen(wanted)) == 0;
}

static int is_of_path(int file)
{
    char link[64], path[sizeof command->path + 64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_meant(path);
}

static int fails(void)
{
    __atomic_add_fetch(&command->failed, 1, __ATOMIC_SEQ_CST);
    errno = command->error;
    return -1;
}

/* How much of a write succeeds: all of it, some sectors, for no disk has room for half of one, or -1. */
static ssize_t granted(int file, size_t size)
{
    if (!command || !command->error || !(command->calls & WRITES) || !is_of_path(file))
        return (ssize_t)size;
    int64_t wanted = command->in_bytes ? (int64_t)size : 1;
    int64_t left = __atomic_fetch_sub(&command->left, wanted, __ATOMIC_SEQ_CST);
    if (left >= wanted)
        return (ssize_t)size;
    return command->in_bytes && left >= SECTOR ? (ssize_t)(left - left % SECTOR) : fails();
}

static int syncs(int file)
{
    if (!command || !command->error || !(command->calls & SYNCS) || !is_of_path(file))
        return 1;
    return command->in_bytes || __atomic_fetch_sub(&command->left, 1, __ATOMIC_SEQ_CST) <= 0 ? (fails(), 0) : 1;
}

/* A full disk has no room for a new file either, once nothing is left. */
static int makes(const char *path, int flags)
{
    if (!command || !command->error || !(command->calls & WRITES) || !(flags & O_CREAT) || command->left > 0)
        return 1;
    return !is_meant(path) || access(path, F_OK) == 0 ? 1 : (fails(), 0);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITE_AT(name, offset_type)                                                  \
    ssize_t name(int file, const void *bytes, size_t size, offset_type offset)      \
    {                                                                                \
        static __typeof__(&name) real;                                               \
        ssize_t part = granted(file, size);                                          \
        real = real ? real : REAL(name);                                             \
        return part < 0 ? -1 : real(file, bytes, (size_t)part, offset);              \
    }

#define SYNC(name)                                                                   \
    int name(int file)                                                               \
    {                                                                                \
        static __typeof__(&name) real;                                               \
        real = real ? real : REAL(name);                                             \
        return syncs(file) ? real(file) : -1;                                        \
    }

#define OPEN(name)                                                                   \
    int name(const char *path, int flags, ...)                                       \
    {                                                                                \
        static __typeof__(&name) real;                                               \
        va_list rest;                                                                \
        va_start(rest, flags);                                                       \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;    \
        va_end(rest);                                                                \
        real = real ? real : REAL(name);                                             \
        return makes(path, flags) ? real(path, flags, mode) : -1;                    \
    }

WRITE_AT(pwrite, off_t)
WRITE_AT(pwrite64, off64_t)
SYNC(fsync)
SYNC(fdatasync)
OPEN(open)
OPEN(open64)

ssize_t write(int file, const void *bytes, size_t size)
{
    static __typeof__(&write) real;
    ssize_t part = granted(file, size);
    real = real ? real : REAL(write);
    return part < 0 ? -1 : real(file, bytes, (size_t)part);
}
