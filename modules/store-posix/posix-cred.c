/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whom a thread acts as: file system uid, gid and groups, per thread.
 *
 * glibc's set*id functions change the whole process, so the system calls are made directly. Leaving the fs uid 0 takes
 * the file capabilities out of the effective set; where the kernel would not do that (the daemon is not uid 0 but has
 * the capabilities, or securebits say so) it is done here. Groups and gid stay with the thread after leaving: they
 * give uid 0 nothing, and the next call of the same user is cheaper.
 *
 * Files are written with the daemon's own credentials, but whose set-id bits may outlive that is for the kernel to say:
 * a thread writes without CAP_FSETID unless root opened the file. It stays away until somebody needs it.
 *
 * Thread: the state is the thread's own. */
#include "posix.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>

#ifdef SYS_setgroups32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_SETFSUID  SYS_setfsuid32
#define CALL_SETFSGID  SYS_setfsgid32
#else
#define CALL_SETGROUPS SYS_setgroups
#define CALL_SETFSUID  SYS_setfsuid
#define CALL_SETFSGID  SYS_setfsgid
#endif

#define MAX_GROUPS 65536 /* NGROUPS_MAX of Linux; more cannot be given to the kernel */

typedef struct {
    gboolean known; /* what follows is what the kernel has */
    gboolean away;  /* not the daemon's own uid now */
    gboolean lowered;
    gint fsetid;   /* CAP_FSETID: 1 there, -1 given up, 0 as the kernel left it */
    int own_umask; /* 1: the thread has a umask of its own, -1: it cannot have one */
    mode_t umask;  /* the own one, once it was seen */
    gboolean sure; /* the thread has been `proven` before */
    uint32_t proven;
    uint32_t gid;
    uint32_t n_groups;
    uint32_t *groups;
} ThreadCred;

static void
thread_cred_free(gpointer data)
{
    ThreadCred *me = data;
    g_free(me->groups);
    g_free(me);
}

static GPrivate key = G_PRIVATE_INIT(thread_cred_free);
static __thread ThreadCred *mine;
static gint lower_by_hand; /* atomic: set by each new store, to the same */

#define BIT(cap) (UINT32_C(1) << (cap))
/* The capabilities that let a thread pass file permissions (capabilities(7), "file system UID"). All are below 32. */
#define FILE_CAPS                                                                                                      \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |           \
     BIT(CAP_LINUX_IMMUTABLE) | BIT(CAP_MKNOD))

static ThreadCred *
thread_cred(void)
{
    if (G_UNLIKELY(!mine)) {
        mine = g_new0(ThreadCred, 1);
        g_private_set(&key, mine);
    }
    return mine;
}

/* Adds and removes effective capabilities, never beyond the permitted ones. */
static gboolean
change_caps(uint32_t plus, uint32_t minus)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0)
        return FALSE;
    data[0].effective = (data[0].effective & ~minus) | (plus & data[0].permitted);
    return syscall(SYS_capset, &header, data) == 0;
}

static gboolean
has_caps(uint32_t caps)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & caps) != 0;
}

static uint32_t
current_fsuid(void)
{
    return (uint32_t)syscall(CALL_SETFSUID, (uid_t)-1);
}

/* The call itself cannot say that it failed: look. *was gets what it was before. */
static gboolean
set_fsuid(uint32_t uid, uint32_t *was)
{
    *was = (uint32_t)syscall(CALL_SETFSUID, (uid_t)uid);
    return current_fsuid() == uid;
}

static gboolean
set_fsgid(uint32_t gid)
{
    syscall(CALL_SETFSGID, (gid_t)gid);
    return (uint32_t)syscall(CALL_SETFSGID, (gid_t)-1) == gid;
}

static gboolean
set_groups(ThreadCred *me, const LaresCred *cred)
{
    uint32_t n = MIN(cred->n_groups, MAX_GROUPS);
    if (me->known && me->n_groups == n && (n == 0 || memcmp(me->groups, cred->groups, n * sizeof(uint32_t)) == 0))
        return TRUE;
    me->known = FALSE;
    if (syscall(CALL_SETGROUPS, (size_t)n, cred->groups) != 0)
        return FALSE;
    me->groups = g_realloc_n(me->groups, n ? n : 1, sizeof(uint32_t));
    if (n)
        memcpy(me->groups, cred->groups, n * sizeof(uint32_t));
    me->n_groups = n;
    return TRUE;
}

/* Who could become somebody once can do so again: the thread keeps CAP_SETUID, and a namespace's map of uids is written
 * once. So only the first time is looked at; coming back shows who the thread was. */
static gboolean
leave_self(PosixStore *store, ThreadCred *me, uint32_t uid)
{
    uint32_t was;
    gboolean known = me->sure && me->proven == uid;
    me->away = TRUE;
    if (known)
        was = (uint32_t)syscall(CALL_SETFSUID, (uid_t)uid);
    else
        me->sure = set_fsuid(uid, &was);
    me->proven = uid;
    if (was != store->self_uid)
        g_error("a thread was left as uid %u", was);
    return me->sure;
}

static gboolean
become(PosixStore *store, ThreadCred *me, const LaresCred *cred)
{
    gboolean same_gid = me->known && me->gid == cred->gid;
    if (!set_groups(me, cred) || (!same_gid && !set_fsgid(cred->gid))) {
        me->known = FALSE;
        return FALSE;
    }
    me->gid = cred->gid;
    me->known = TRUE;
    if (cred->uid == store->self_uid && store->self_uid == 0)
        return me->fsetid >= 0 || posix_cred_writes(store, TRUE) == LARES_OK;
    if (!leave_self(store, me, cred->uid))
        return FALSE;
    if (g_atomic_int_get(&lower_by_hand) && cred->uid != 0) {
        me->lowered = TRUE;
        return change_caps(0, FILE_CAPS);
    }
    return TRUE;
}

LaresStatus
posix_cred_enter(PosixStore *store, const LaresCred *cred)
{
    if (!store->privileged)
        return LARES_OK;
    ThreadCred *me = thread_cred();
    if (G_LIKELY(cred->uid != UINT32_MAX && cred->gid != UINT32_MAX && become(store, me, cred)))
        return LARES_OK;
    posix_cred_leave(store);
    lares_log_limited(LARES_LOG_ERROR, "store-posix", "cannot act as uid %u gid %u: %s", cred->uid, cred->gid,
                      g_strerror(errno));
    return LARES_SERVERFAULT;
}

void
posix_cred_leave(PosixStore *store)
{
    ThreadCred *me = mine;
    if (!store->privileged || !me)
        return;
    int saved = errno;
    if (me->away) {
        /* Back to one's own uid is always allowed; the next call that goes away looks where it started. */
        uint32_t was = (uint32_t)syscall(CALL_SETFSUID, (uid_t)store->self_uid);
        if (me->sure && was != me->proven)
            g_error("a thread acted as uid %u, not %u", was, me->proven);
        me->away = FALSE;
        me->fsetid = 0; /* uid 0 gets all of them back */
    }
    if (me->lowered) {
        if (!change_caps(FILE_CAPS, 0))
            g_error("cannot regain capabilities: %s", g_strerror(errno));
        me->lowered = FALSE;
    }
    errno = saved;
}

LaresStatus
posix_cred_writes(PosixStore *store, gboolean as_root)
{
    ThreadCred *me = thread_cred();
    gint want = as_root ? 1 : -1;
    if (!store->privileged || me->fsetid == want)
        return LARES_OK;
    if (!change_caps(as_root ? BIT(CAP_FSETID) : 0, as_root ? 0 : BIT(CAP_FSETID)))
        return LARES_SERVERFAULT;
    me->fsetid = want;
    return LARES_OK;
}

LaresStatus
posix_cred_raise(PosixStore *store, uint32_t caps)
{
    if (!store->privileged || !caps)
        return LARES_OK;
    uint32_t plus = (caps & POSIX_CAP_DAC ? BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) : 0) |
                    (caps & POSIX_CAP_OWNER ? BIT(CAP_FOWNER) : 0) | (caps & POSIX_CAP_CHOWN ? BIT(CAP_CHOWN) : 0);
    return change_caps(plus, 0) ? LARES_OK : LARES_SERVERFAULT;
}

/* Tries it once, in the calling thread, with the uid nobody. */
gboolean
posix_cred_probe(GError **error)
{
    const uint32_t stranger = 65534;
    uint32_t self = current_fsuid(), was;
    gboolean there = set_fsuid(stranger, &was);
    gboolean by_hand = there && has_caps(FILE_CAPS);
    g_atomic_int_set(&lower_by_hand, by_hand);
    gboolean lowered = !by_hand || (change_caps(0, FILE_CAPS) && !has_caps(FILE_CAPS));
    gboolean back = set_fsuid(self, &was) && (!by_hand || change_caps(FILE_CAPS, 0));
    if (there && lowered && back && has_caps(BIT(CAP_DAC_OVERRIDE)))
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED,
                "this process cannot act as other users (CAP_SETUID, CAP_SETGID and CAP_DAC_OVERRIDE are needed)");
    return FALSE;
}

/* The umask belongs to the process, and everybody else in it wants a strict one; a thread that has left the shared
 * file system context has its own. */
gboolean
posix_umask_clear(mode_t mode, mode_t *old)
{
    ThreadCred *me = thread_cred();
    *old = 0;
    if (G_UNLIKELY(me->own_umask == 0)) {
        me->own_umask = unshare(CLONE_FS) == 0 ? 1 : -1;
        me->umask = 0777; /* not seen yet */
    }
    if (me->own_umask < 0)
        return FALSE;
    if (mode & me->umask)
        me->umask = *old = umask(0);
    return TRUE;
}

void
posix_umask_restore(mode_t old)
{
    if (old)
        umask(old);
}
