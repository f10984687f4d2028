/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See nfs4-self.h. What is written here is a client's side: it shares no code with the server's that it tries.
 *
 * Spec: RFC 5531 9 and 11, RFC 2203 5.2 */
#include "nfs4-self.h"

#include <lares/cursor.h>
#include <string.h>
#include <sys/socket.h>

#define PROGRAM_NFS     100003u
#define NFS_VERSION     4u
#define RPC_VERSION     2u
#define CALL            0u
#define REPLY           1u
#define ACCEPTED        0u
#define SUCCESS         0u
#define FLAVOR_NONE     0u
#define FLAVOR_GSS      6u
#define GSS_VERSION     1u
#define GSS_INIT        1u
#define GSS_CONTINUE    2u
#define SERVICE_NONE    1u
#define MAJOR_CONTINUE  1u
#define LAST_FRAGMENT   0x80000000u
#define MAX_REPLY_BYTES (128u * 1024u)
#define MAX_LEGS        8

static gboolean
fail(GError **error, const char *what)
{
    g_set_error_literal(error, LARES_ERROR, LARES_ERROR_FAILED, what);
    return FALSE;
}

static gboolean
receive_all(int fd, uint8_t *to, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, to, len, 0);
        if (n <= 0)
            return FALSE;
        to += n;
        len -= (size_t)n;
    }
    return TRUE;
}

static gboolean
send_call(int fd, LaresArena *arena, uint32_t xid, uint32_t procedure, const LaresReader *handle, GBytes *token)
{
    LaresWriter w;
    size_t head, handle_len = lares_reader_left(handle);
    lares_writer_init(&w, arena, 1024, MAX_REPLY_BYTES);
    lares_put_u32(&w, 0); /* the record's mark */
    lares_put_u32(&w, xid);
    lares_put_u32(&w, CALL);
    lares_put_u32(&w, RPC_VERSION);
    lares_put_u32(&w, PROGRAM_NFS);
    lares_put_u32(&w, NFS_VERSION);
    lares_put_u32(&w, 0);
    lares_put_u32(&w, FLAVOR_GSS);
    head = w.len;
    lares_put_u32(&w, 0);
    lares_put_u32(&w, GSS_VERSION);
    lares_put_u32(&w, procedure);
    lares_put_u32(&w, 0);
    lares_put_u32(&w, SERVICE_NONE);
    lares_put_opaque(&w, handle->at, handle_len);
    lares_patch_u32(&w, head, (uint32_t)(w.len - head - 4));
    lares_put_u32(&w, FLAVOR_NONE);
    lares_put_u32(&w, 0);
    lares_put_opaque(&w, g_bytes_get_data(token, NULL), g_bytes_get_size(token));
    lares_patch_u32(&w, 0, LAST_FRAGMENT | (uint32_t)(w.len - 4));
    return !w.failed && send(fd, w.base, w.len, MSG_NOSIGNAL) == (ssize_t)w.len;
}

/* One record; its fragments are put together. */
static gboolean
receive_record(int fd, LaresArena *arena, LaresReader *record)
{
    uint8_t *bytes = lares_arena_alloc(arena, MAX_REPLY_BYTES);
    size_t len = 0;
    uint32_t mark = 0;
    while (!(mark & LAST_FRAGMENT)) {
        if (!receive_all(fd, (uint8_t *)&mark, sizeof mark))
            return FALSE;
        mark = GUINT32_FROM_BE(mark);
        uint32_t part = mark & ~LAST_FRAGMENT;
        if (part > MAX_REPLY_BYTES - len || !receive_all(fd, bytes + len, part))
            return FALSE;
        len += part;
    }
    *record = lares_reader(bytes, len);
    return TRUE;
}

/* The header of an accepted call that succeeded. */
static gboolean
take_header(LaresReader *r, uint32_t xid)
{
    size_t len;
    gboolean good = lares_get_u32(r) == xid && lares_get_u32(r) == REPLY && lares_get_u32(r) == ACCEPTED;
    lares_get_u32(r);
    lares_get_opaque(r, 400, &len);
    return good && lares_get_u32(r) == SUCCESS && !r->failed;
}

gboolean
nfs4_self_log_in(gpointer user, int fd, LaresLoginStep step, gpointer login, GError **error)
{
    g_autoptr(LaresArena) arena = lares_arena_new();
    LaresReader handle = lares_reader("", 0), record, answer = lares_reader(NULL, 0);
    for (uint32_t leg = 0; leg < MAX_LEGS; leg++) {
        GError *local = NULL;
        size_t len, handle_len;
        g_autoptr(GBytes) token = step(login, answer.at, lares_reader_left(&answer), &local);
        if (local) {
            g_propagate_error(error, local);
            return FALSE;
        }
        if (!token)
            return TRUE;
        if (!send_call(fd, arena, leg + 1, leg ? GSS_CONTINUE : GSS_INIT, &handle, token) ||
            !receive_record(fd, arena, &record))
            return fail(error, "the server did not answer");
        if (!take_header(&record, leg + 1))
            return fail(error, "the server refused the call");
        const uint8_t *bytes = lares_get_opaque(&record, 64, &handle_len);
        uint32_t major = lares_get_u32(&record), minor = lares_get_u32(&record);
        handle = lares_reader(bytes, handle_len);
        lares_get_u32(&record);
        bytes = lares_get_opaque(&record, 65536, &len);
        if (record.failed)
            return fail(error, "the server's answer cannot be read");
        if (major > MAJOR_CONTINUE) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_DENIED, "the server refused it (GSS status %u, %u)",
                        major >> 16, minor);
            return FALSE;
        }
        answer = lares_reader(bytes, len);
    }
    return fail(error, "the login does not come to an end");
}
