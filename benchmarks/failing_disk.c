/* Faults in the system calls of one process below one folder: loaded with LD_PRELOAD by benchmarks/failing_disk.py.
 *
 * It sees the calls of Python, of SQLite's C code, and of FAISS, whose C streams are made to write through it. Every call
 * that changes a file or folder is counted; call number `k` is the one that fails:
 *
 *   ENOSPC  it and all later calls that need space fail: a full disk
 *   EIO     it fails once, with EIO; with `sticky`, so do all later ones: a disk that is gone
 *   SHORT   a write stores half of its bytes; later calls that need space fail
 *   READ    number k of the calls that read fails with EIO
 *   CRASH   the process is killed before the call
 *   POWER   as CRASH, and what was not fsynced is lost: writes of each file, and names of each folder, from a random
 *           one on. Bytes are undone by inode and names by hard links beside the folder, newest first.
 *   READONLY  every change is refused: a read-only file system
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NONE, ENOSPC_FAULT, EIO_FAULT, SHORT_FAULT, READ_FAULT, CRASH_FAULT, POWER_FAULT, READONLY_FAULT };
enum { WRITE, TRUNCATE, CREATE, RENAME, UNLINK, MKDIR, RMDIR };
enum { SPACE = 1, CHANGE = 2, READS = 4 };

static char folder[PATH_MAX], shadow[PATH_MAX];
static int fault, sticky;
static long target, calls, hits;
static unsigned seed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* One change that no fsync has made durable yet. inode: of the file, or of the folder of a name. */
struct change {
    int kind, kept, descriptor;
    dev_t device; ino_t inode;
    off_t offset, size;
    size_t length;
    char *bytes, *path, *other, *saved;
    struct change *before;
};
static struct change *newest;

/* -- where ---------------------------------------------------------------------------------------------------------- */

static int is_below(const char *path) {
    size_t length = strlen(folder);
    return length && path && strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

static int full_path(int at, const char *path, char *into) {
    char base[PATH_MAX] = "";
    if (!fault || !path) return 0;
    if (path[0] == '/') { snprintf(into, PATH_MAX, "%s", path); return is_below(into); }
    if (at == AT_FDCWD) { if (!getcwd(base, sizeof base)) return 0; }
    else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t n = readlink(link, base, sizeof base - 1);
        if (n < 0) return 0;
        base[n] = 0;
    }
    snprintf(into, PATH_MAX, "%.*s/%.*s", PATH_MAX / 2 - 2, base, PATH_MAX / 2 - 2, path);
    return is_below(into);
}

static int is_ours(int descriptor) {
    char path[PATH_MAX], link[64];
    if (!fault) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return is_below(path);
}

static int parent_of(const char *path, struct stat *facts) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    char *slash = strrchr(copy, '/');
    if (!slash) return -1;
    *slash = 0;
    return stat(copy, facts);
}

/* -- what would be lost --------------------------------------------------------------------------------------------- */

static struct change *remember(int kind, dev_t device, ino_t inode) {
    struct change *one = calloc(1, sizeof *one);
    one->kind = kind; one->device = device; one->inode = inode; one->descriptor = -1;
    one->before = newest; newest = one;
    return one;
}

static void remember_bytes(int kind, int descriptor, off_t offset, size_t length) {
    struct stat facts;
    if (fault != POWER_FAULT || fstat(descriptor, &facts) || !S_ISREG(facts.st_mode)) return;
    pthread_mutex_lock(&lock);
    struct change *one = remember(kind, facts.st_dev, facts.st_ino);
    one->size = facts.st_size; one->offset = offset;
    for (struct change *other = one->before; other; other = other->before)
        if (other->descriptor >= 0 && other->inode == one->inode && other->device == one->device) one->descriptor = other->descriptor;
    if (one->descriptor < 0) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        one->descriptor = syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
    }
    if (offset < facts.st_size) {
        size_t there = facts.st_size - offset;
        one->length = length < there ? length : there;
        one->bytes = malloc(one->length + 1);
        one->length = syscall(SYS_pread64, one->descriptor, one->bytes, one->length, offset);
    }
    pthread_mutex_unlock(&lock);
}

static void remember_name(int kind, const char *path, const char *other) {
    struct stat facts;
    static int number;
    if (fault != POWER_FAULT || parent_of(other ? other : path, &facts)) return;
    pthread_mutex_lock(&lock);
    struct change *one = remember(kind, facts.st_dev, facts.st_ino);
    one->path = strdup(path);
    one->other = other ? strdup(other) : NULL;
    const char *victim = kind == RENAME ? other : kind == UNLINK ? path : NULL;
    if (victim) {
        char saved[PATH_MAX + 32];
        snprintf(saved, sizeof saved, "%s/saved-%d", shadow, number++);
        if (syscall(SYS_linkat, AT_FDCWD, victim, AT_FDCWD, saved, 0) == 0) one->saved = strdup(saved);
    }
    pthread_mutex_unlock(&lock);
}

static void forget_last_name(void) {  /* the call failed: nothing changed */
    if (fault == POWER_FAULT && newest) newest->kept = 1;
}

static void now_durable(int descriptor) {
    struct stat facts;
    if (fault != POWER_FAULT || fstat(descriptor, &facts)) return;
    for (struct change *one = newest; one; one = one->before)
        if (one->inode == facts.st_ino && one->device == facts.st_dev) one->kept = 1;
}

static void undo(struct change *one) {
    static int number;
    char aside[PATH_MAX + 32];
    snprintf(aside, sizeof aside, "%s/lost-%d", shadow, number++);
    switch (one->kind) {
    case WRITE: case TRUNCATE:
        if (one->length) syscall(SYS_pwrite64, one->descriptor, one->bytes, one->length, one->offset);
        syscall(SYS_ftruncate, one->descriptor, one->size);
        break;
    case CREATE: case MKDIR:
        syscall(SYS_renameat2, AT_FDCWD, one->path, AT_FDCWD, aside, 0);
        break;
    case RENAME:
        syscall(SYS_renameat2, AT_FDCWD, one->other, AT_FDCWD, one->path, 0);
        if (one->saved) syscall(SYS_linkat, AT_FDCWD, one->saved, AT_FDCWD, one->other, 0);
        break;
    case UNLINK:
        if (one->saved) syscall(SYS_linkat, AT_FDCWD, one->saved, AT_FDCWD, one->path, 0);
        break;
    case RMDIR:
        syscall(SYS_mkdirat, AT_FDCWD, one->path, 0700);
        break;
    }
}

static void die(void) {
    if (fault == POWER_FAULT) {
        /* Of each file or folder the oldest changes may have reached the disk: a random number of them. Seed 0: none. */
        for (struct change *one = newest; seed && one; one = one->before) {
            if (one->kept) continue;
            unsigned draw = (unsigned)(one->inode * 2654435761u) ^ seed;
            long age = 0, all = 0;
            for (struct change *other = newest; other; other = other->before)
                if (!other->kept && other->inode == one->inode && other->device == one->device) all++;
            for (struct change *other = one->before; other; other = other->before)
                if (!other->kept && other->inode == one->inode && other->device == one->device) age++;
            if (age < (long)(rand_r(&draw) % (all + 1))) one->kept = 2;
        }
        for (struct change *one = newest; one; one = one->before) if (!one->kept) undo(one);
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* -- the fault ------------------------------------------------------------------------------------------------------ */

/* 0: go on; 1: store half; -1: fail with errno. */
static int strikes(int what) {
    if (fault == NONE) return 0;
    if (fault == READONLY_FAULT && what != READS) { hits++; errno = EROFS; return -1; }
    if ((fault == READ_FAULT) != (what == READS)) return 0;
    long now = __sync_add_and_fetch(&calls, 1);
    if (now < target || target <= 0) return 0;
    int first = now == target;
    switch (fault) {
    case CRASH_FAULT: case POWER_FAULT:
        if (first) die();
        return 0;
    case EIO_FAULT: case READ_FAULT:
        if (!first && !sticky) return 0;
        hits++; errno = EIO;
        return -1;
    case SHORT_FAULT:
        if (what != SPACE) return 0;
        if (hits++ == 0) return 1;
        errno = ENOSPC;
        return -1;
    default:
        if (what != SPACE) return 0;
        hits++; errno = ENOSPC;
        return -1;
    }
}

void fault_arm(const char *below, const char *beside, int kind, long k, int stay, unsigned chance) {
    snprintf(folder, sizeof folder, "%s", below);
    snprintf(shadow, sizeof shadow, "%s", beside);
    target = k; sticky = stay; seed = chance; calls = hits = 0; newest = NULL;
    fault = kind;
}

long fault_calls(void) { return calls; }
long fault_hits(void) { return hits; }
void fault_disarm(void) { fault = NONE; }

/* -- bytes ---------------------------------------------------------------------------------------------------------- */

ssize_t write(int descriptor, const void *bytes, size_t length) {
    REAL(write);
    if (!is_ours(descriptor)) return real(descriptor, bytes, length);
    int struck = strikes(SPACE);
    if (struck < 0) return -1;
    if (struck && length > 1) length /= 2;
    int flags = fcntl(descriptor, F_GETFL);
    off_t at = flags & O_APPEND ? lseek(descriptor, 0, SEEK_END) : lseek(descriptor, 0, SEEK_CUR);
    remember_bytes(WRITE, descriptor, at, length);
    return real(descriptor, bytes, length);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    REAL(pwrite64);
    if (!is_ours(descriptor)) return real(descriptor, bytes, length, offset);
    int struck = strikes(SPACE);
    if (struck < 0) return -1;
    if (struck && length > 1) length /= 2;
    remember_bytes(WRITE, descriptor, offset, length);
    return real(descriptor, bytes, length, offset);
}
ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) { return pwrite64(descriptor, bytes, length, offset); }

int ftruncate64(int descriptor, off64_t size) {
    REAL(ftruncate64);
    if (!is_ours(descriptor)) return real(descriptor, size);
    struct stat facts;
    if (strikes(fstat(descriptor, &facts) == 0 && size > facts.st_size ? SPACE : CHANGE) < 0) return -1;
    remember_bytes(TRUNCATE, descriptor, size, facts.st_size > size ? facts.st_size - size : 0);
    return real(descriptor, size);
}
int ftruncate(int descriptor, off_t size) { return ftruncate64(descriptor, size); }

static int synced(int descriptor, int (*real)(int)) {
    if (!is_ours(descriptor)) return real(descriptor);
    if (strikes(CHANGE) < 0) return -1;
    int done = fault == POWER_FAULT ? 0 : real(descriptor);  /* an fsync of the disk itself would only cost time */
    if (done == 0) now_durable(descriptor);
    return done;
}
int fsync(int descriptor) { REAL(fsync); return synced(descriptor, real); }
int fdatasync(int descriptor) { REAL(fdatasync); return synced(descriptor, real); }

ssize_t read(int descriptor, void *bytes, size_t length) {
    REAL(read);
    if (fault == READ_FAULT && is_ours(descriptor) && strikes(READS) < 0) return -1;
    return real(descriptor, bytes, length);
}
ssize_t pread64(int descriptor, void *bytes, size_t length, off64_t offset) {
    REAL(pread64);
    if (fault == READ_FAULT && is_ours(descriptor) && strikes(READS) < 0) return -1;
    return real(descriptor, bytes, length, offset);
}
ssize_t pread(int descriptor, void *bytes, size_t length, off_t offset) { return pread64(descriptor, bytes, length, offset); }

/* Copies inside the kernel would pass by: callers fall back to read and write. */
ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) {
    ssize_t (*real)(int, int, off64_t *, size_t) = dlsym(RTLD_NEXT, "sendfile64");
    if (is_ours(to) || is_ours(from)) { errno = ENOTSOCK; return -1; }
    return real(to, from, offset, length);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t length) { return sendfile64(to, from, offset, length); }

/* -- names ---------------------------------------------------------------------------------------------------------- */

static int opened(int at, const char *path, int flags, mode_t mode, int (*real)(int, const char *, int, ...)) {
    char full[PATH_MAX];
    if (!full_path(at, path, full)) return real(at, path, flags, mode);
    int is_new = flags & O_CREAT && access(full, F_OK) != 0;
    if (is_new || flags & O_TRUNC) { if (strikes(is_new ? SPACE : CHANGE) < 0) return -1; }
    else if (fault == READONLY_FAULT && flags & (O_WRONLY | O_RDWR)) { if (strikes(CHANGE) < 0) return -1; }
    else if (fault == READ_FAULT && strikes(READS) < 0) return -1;
    if (!is_new && flags & O_TRUNC && fault == POWER_FAULT) {
        int before = real(at, path, O_RDONLY | O_CLOEXEC, 0);
        struct stat facts;
        if (before >= 0 && fstat(before, &facts) == 0) remember_bytes(TRUNCATE, before, 0, facts.st_size);
        if (before >= 0) close(before);
    }
    int found = real(at, path, flags, mode);
    if (is_new && found >= 0) remember_name(CREATE, full, NULL);
    return found;
}

#define MODE_OF(flags) mode_t mode = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
typedef int (*opener)(int, const char *, int, ...);
static opener real_openat(void) { static opener real; if (!real) real = (opener)dlsym(RTLD_NEXT, "openat64"); return real; }
int open(const char *path, int flags, ...) { MODE_OF(flags) return opened(AT_FDCWD, path, flags, mode, real_openat()); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode, real_openat()); }
int openat(int at, const char *path, int flags, ...) { MODE_OF(flags) return opened(at, path, flags, mode, real_openat()); }
int openat64(int at, const char *path, int flags, ...) { MODE_OF(flags) return opened(at, path, flags | O_LARGEFILE, mode, real_openat()); }
int __open_2(const char *path, int flags) { return opened(AT_FDCWD, path, flags, 0, real_openat()); }
int __open64_2(const char *path, int flags) { return opened(AT_FDCWD, path, flags | O_LARGEFILE, 0, real_openat()); }

static int renamed(int from, const char *path, int to, const char *other, unsigned flags) {
    int (*real)(int, const char *, int, const char *, unsigned) = dlsym(RTLD_NEXT, "renameat2");
    char a[PATH_MAX], b[PATH_MAX];
    if (!full_path(from, path, a) || !full_path(to, other, b)) return real(from, path, to, other, flags);
    if (strikes(CHANGE) < 0) return -1;
    remember_name(RENAME, a, b);
    int done = real(from, path, to, other, flags);
    if (done < 0) forget_last_name();
    return done;
}
int rename(const char *path, const char *other) { return renamed(AT_FDCWD, path, AT_FDCWD, other, 0); }
int renameat(int from, const char *path, int to, const char *other) { return renamed(from, path, to, other, 0); }
int renameat2(int from, const char *path, int to, const char *other, unsigned flags) { return renamed(from, path, to, other, flags); }

int unlinkat(int at, const char *path, int flags) {
    REAL(unlinkat);
    char full[PATH_MAX];
    if (!full_path(at, path, full)) return real(at, path, flags);
    if (strikes(CHANGE) < 0) return -1;
    remember_name(flags & AT_REMOVEDIR ? RMDIR : UNLINK, full, NULL);
    int done = real(at, path, flags);
    if (done < 0) forget_last_name();
    return done;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *path, mode_t mode) {
    REAL(mkdirat);
    char full[PATH_MAX];
    if (!full_path(at, path, full)) return real(at, path, mode);
    if (strikes(SPACE) < 0) return -1;
    int done = real(at, path, mode);
    if (done == 0) remember_name(MKDIR, full, NULL);
    return done;
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int faccessat(int at, const char *path, int mode, int flags) {
    REAL(faccessat);
    char full[PATH_MAX];
    if (fault == READONLY_FAULT && mode & W_OK && full_path(at, path, full)) { errno = EROFS; return -1; }
    return real(at, path, mode, flags);
}
int access(const char *path, int mode) { return faccessat(AT_FDCWD, path, mode, 0); }

/* -- C streams, whose own writes stay inside the C library: FAISS ---------------------------------------------------- */

static ssize_t stream_read(void *cookie, char *bytes, size_t length) { return read((int)(long)cookie, bytes, length); }
static ssize_t stream_write(void *cookie, const char *bytes, size_t length) {
    ssize_t done = write((int)(long)cookie, bytes, length);
    return done < 0 ? 0 : done;
}
static int stream_seek(void *cookie, off64_t *offset, int whence) {
    off64_t found = lseek64((int)(long)cookie, *offset, whence);
    if (found < 0) return -1;
    *offset = found;
    return 0;
}
static int stream_close(void *cookie) { return close((int)(long)cookie); }

FILE *fopen64(const char *path, const char *mode) {
    REAL(fopen64);
    char full[PATH_MAX];
    if (!full_path(AT_FDCWD, path, full)) return real(path, mode);
    int plus = strchr(mode, '+') != NULL;
    int flags = mode[0] == 'r' ? (plus ? O_RDWR : O_RDONLY) : (plus ? O_RDWR : O_WRONLY) | O_CREAT | (mode[0] == 'w' ? O_TRUNC : O_APPEND);
    int descriptor = open64(path, flags | O_CLOEXEC, 0666);
    if (descriptor < 0) return NULL;
    cookie_io_functions_t calls_of = { stream_read, stream_write, stream_seek, stream_close };
    FILE *file = fopencookie((void *)(long)descriptor, mode, calls_of);
    if (!file) close(descriptor);
    return file;
}
FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }
