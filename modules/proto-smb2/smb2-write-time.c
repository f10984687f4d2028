/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times of writing that come late, as NTFS had it until 2018: a setting, for programs that count on it.
 *
 *   state     event                                   shown through this open    next
 *   --------------------------------------------------------------------------------------------------------
 *   fresh     WRITE                                   the time before it         pending, due in two seconds
 *   pending   due                                     the write's                told
 *   told      WRITE                                   the time before it         pending, never due
 *   pending   FLUSH, FileEndOfFileInformation, …      now, which is set          told
 *             AllocationInformation, …BasicInformation, CLOSE
 *
 * The file itself gets the kernel's time with each write, which everybody else sees at once, over NFS and SMB.
 *
 * Spec: [MS-FSA] 2.1.4.17 and its note <43>. */
#include "smb2-open.h"

#define DUE_US (2 * G_USEC_PER_SEC)

void
smb2_write_time_hold(Smb2Op *op, Smb2Open *open)
{
    LaresAttrs attrs;
    if (G_LIKELY(!op->service->settings.late_write_times) || open->base.node || g_atomic_int_get(&open->has_sticky))
        return;
    gint64 now = g_get_monotonic_time();
    g_mutex_lock(&open->lock);
    gboolean holds = open->late.due > now;
    g_mutex_unlock(&open->lock);
    if (holds ||
        lares_files_getattr(op->service->files, &op->caller, &open->object, LARES_ATTR_MTIME, &attrs, NULL) != LARES_OK)
        return;
    g_mutex_lock(&open->lock);
    if (open->late.due <= now) {
        open->late.due = open->late.told || open->late.due ? G_MAXINT64 : now + DUE_US;
        open->late.shown = attrs.mtime;
    }
    g_mutex_unlock(&open->lock);
}

gboolean
smb2_write_time_shown(Smb2Open *open, LaresTime *shown)
{
    g_mutex_lock(&open->lock);
    gboolean late = open->late.due > g_get_monotonic_time();
    if (late)
        *shown = open->late.shown;
    g_mutex_unlock(&open->lock);
    return late;
}

void
smb2_write_time_tell(Smb2Op *op, Smb2Open *open)
{
    if (G_LIKELY(!op->service->settings.late_write_times))
        return;
    g_mutex_lock(&open->lock);
    gboolean late = open->late.due > g_get_monotonic_time();
    open->late.told = open->late.told || open->late.due;
    open->late.due = 0;
    g_mutex_unlock(&open->lock);
    if (!late || g_atomic_int_get(&open->has_sticky))
        return;
    gint64 now = g_get_real_time();
    LaresSetAttrs set = {.mask = LARES_ATTR_MTIME,
                         .mtime = {now / G_USEC_PER_SEC, (uint32_t)(now % G_USEC_PER_SEC) * 1000}};
    lares_files_setattr(op->service->files, &op->caller, &open->object, NULL, &set);
}
