/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See smb2-self.h. What is written here is a client's side: it shares no code with the server's that it tries.
 *
 * Spec: [MS-SMB2] 2.1, 2.2.1.2, 2.2.3, 2.2.4, 2.2.5, 2.2.6 */
#include "smb2-self.h"

#include <lares/cursor.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define HEADER_SIZE      64
#define NEGOTIATE        0
#define SESSION_SETUP    1
#define STATUS_OK        0u
#define STATUS_MORE      0xC0000016u /* STATUS_MORE_PROCESSING_REQUIRED */
#define SIGNING_ENABLED  1
#define CREDITS          31
#define PREAUTH          1
#define ENCRYPTION       2
#define SHA512           1
#define AES128_GCM       2
#define SALT_BYTES       32
#define SETUP_BODY       24
#define MAX_ANSWER_BYTES (128u * 1024u)
#define MAX_LEGS         8

static const uint16_t dialects[] = {0x0202, 0x0210, 0x0300, 0x0302, 0x0311};

typedef struct {
    int fd;
    LaresArena *arena;
    uint64_t message, session;
} Talk;

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

static void
put_header(Talk *t, LaresWriter *w, uint16_t command)
{
    static const uint8_t signature[16];
    lares_writer_init(w, t->arena, 1024, MAX_ANSWER_BYTES);
    lares_put_u32(w, 0); /* length, direct TCP */
    lares_put_bytes(w, "\xfeSMB", 4);
    lares_put_le16(w, HEADER_SIZE);
    lares_put_le16(w, command == NEGOTIATE ? 0 : 1); /* CreditCharge */
    lares_put_le32(w, 0);
    lares_put_le16(w, command);
    lares_put_le16(w, CREDITS);
    lares_put_le32(w, 0);
    lares_put_le32(w, 0);
    lares_put_le64(w, t->message++);
    lares_put_le32(w, 0);
    lares_put_le32(w, 0);
    lares_put_le64(w, t->session);
    lares_put_bytes(w, signature, sizeof signature);
}

/* Sends, receives; `answer` stands behind the header. */
static gboolean
exchange(Talk *t, LaresWriter *w, uint32_t *status, const uint8_t **whole, LaresReader *answer)
{
    uint32_t length;
    lares_patch_u32(w, 0, (uint32_t)(w->len - 4));
    if (w->failed || send(t->fd, w->base, w->len, MSG_NOSIGNAL) != (ssize_t)w->len ||
        !receive_all(t->fd, (uint8_t *)&length, sizeof length))
        return FALSE;
    length = GUINT32_FROM_BE(length);
    if (length < HEADER_SIZE || length > MAX_ANSWER_BYTES)
        return FALSE;
    uint8_t *bytes = lares_arena_alloc(t->arena, length);
    if (!receive_all(t->fd, bytes, length) || memcmp(bytes, "\xfeSMB", 4) != 0)
        return FALSE;
    *whole = bytes;
    *answer = lares_reader(bytes, length);
    lares_get_bytes(answer, 8);
    *status = lares_get_le32(answer);
    lares_get_bytes(answer, 28);
    t->session = lares_get_le64(answer);
    lares_get_bytes(answer, 16);
    return !answer->failed;
}

static void
put_context(LaresWriter *w, uint16_t type, const uint16_t *words, size_t n, const uint8_t *salt, size_t salt_len)
{
    static const uint8_t zero[8];
    lares_put_bytes(w, zero, (size_t)(-(w->len - 4) & 7));
    lares_put_le16(w, type);
    lares_put_le16(w, (uint16_t)(2 * n + salt_len));
    lares_put_le32(w, 0);
    for (size_t i = 0; i < n; i++)
        lares_put_le16(w, words[i]);
    lares_put_bytes(w, salt, salt_len);
}

static gboolean
negotiate(Talk *t, GError **error)
{
    LaresWriter w;
    LaresReader answer;
    const uint8_t *whole;
    uint8_t random[SALT_BYTES];
    uint32_t status;
    const uint16_t hashes[] = {1, SALT_BYTES, SHA512}, ciphers[] = {1, AES128_GCM};
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return fail(error, "no random bytes");
    put_header(t, &w, NEGOTIATE);
    lares_put_le16(&w, 36);
    lares_put_le16(&w, G_N_ELEMENTS(dialects));
    lares_put_le16(&w, SIGNING_ENABLED);
    lares_put_le16(&w, 0);
    lares_put_le32(&w, 0);
    lares_put_bytes(&w, random, 16); /* ClientGuid */
    size_t body = HEADER_SIZE + 36 + 2 * G_N_ELEMENTS(dialects);
    lares_put_le32(&w, (uint32_t)((body + 7) & ~(size_t)7)); /* NegotiateContextOffset */
    lares_put_le16(&w, 2);
    lares_put_le16(&w, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(dialects); i++)
        lares_put_le16(&w, dialects[i]);
    put_context(&w, PREAUTH, hashes, G_N_ELEMENTS(hashes), random, sizeof random);
    put_context(&w, ENCRYPTION, ciphers, G_N_ELEMENTS(ciphers), NULL, 0);
    if (!exchange(t, &w, &status, &whole, &answer))
        return fail(error, "the server did not answer");
    if (status == STATUS_OK)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "the server refused the connection (status 0x%08x)", status);
    return FALSE;
}

static gboolean
set_up(Talk *t, GBytes *token, uint32_t *status, LaresReader *out)
{
    LaresWriter w;
    LaresReader answer;
    const uint8_t *whole;
    put_header(t, &w, SESSION_SETUP);
    lares_put_le16(&w, SETUP_BODY + 1);
    lares_put_u8(&w, 0);
    lares_put_u8(&w, SIGNING_ENABLED);
    lares_put_le32(&w, 0);
    lares_put_le32(&w, 0);
    lares_put_le16(&w, HEADER_SIZE + SETUP_BODY);
    lares_put_le16(&w, (uint16_t)g_bytes_get_size(token));
    lares_put_le64(&w, 0);
    lares_put_bytes(&w, g_bytes_get_data(token, NULL), g_bytes_get_size(token));
    if (g_bytes_get_size(token) > G_MAXUINT16 || !exchange(t, &w, status, &whole, &answer))
        return FALSE;
    *out = lares_reader(NULL, 0);
    if (*status != STATUS_OK && *status != STATUS_MORE)
        return TRUE;
    size_t all = HEADER_SIZE + lares_reader_left(&answer);
    lares_get_bytes(&answer, 4);
    size_t offset = lares_get_le16(&answer), len = lares_get_le16(&answer);
    if (answer.failed || offset > all || len > all - offset)
        return FALSE;
    *out = lares_reader(whole + offset, len);
    return TRUE;
}

gboolean
smb2_self_log_in(gpointer user, int fd, LaresLoginStep step, gpointer login, GError **error)
{
    g_autoptr(LaresArena) arena = lares_arena_new();
    Talk t = {.fd = fd, .arena = arena};
    LaresReader answer = lares_reader(NULL, 0);
    uint32_t status = STATUS_MORE;
    if (!negotiate(&t, error))
        return FALSE;
    for (int leg = 0; leg < MAX_LEGS; leg++) {
        GError *local = NULL;
        g_autoptr(GBytes) token = step(login, answer.at, lares_reader_left(&answer), &local);
        if (local) {
            g_propagate_error(error, local);
            return FALSE;
        }
        if (!token)
            return status == STATUS_OK || fail(error, "the server wants to go on, but the ticket has nothing to add");
        if (!set_up(&t, token, &status, &answer))
            return fail(error, "the server did not answer, or cannot be understood");
        if (status != STATUS_OK && status != STATUS_MORE) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_DENIED, "the server refused it (status 0x%08x)", status);
            return FALSE;
        }
    }
    return fail(error, "the login does not come to an end");
}
