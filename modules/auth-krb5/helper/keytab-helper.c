/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lares-keytab-helper: logs in to a realm's kadmind as an administrator and brings the server's keys into a keytab. A
 * process of its own, so that MIT's administration client, its global state and the password never enter laresd.
 *
 * Standard input, one per line: the administrator, the realm ("-": the administrator's), the keytab's path, that of the
 * one whose keys it is to go on with, "rotate"
 * or "keep", the principals without realm, an empty line; then, up to the end, the password. Standard output, one line
 * each: "made NAME KVNO" (a principal that was not there), "copied …" (its keys as they are), "rotated …" (new keys),
 * "kept …" (the keytab had them), "locked …" (there are keys and kadmind does not give them out), and at last
 * "done" or "error TEXT". Nobody's keys are changed unless "rotate" was said.
 *
 * Exit status 0 when the last line was written. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <kadm5/admin.h>
#include <kadm5/kadm_err.h>
#include <krb5.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A server with a thousand aliases still fits. */
#define REQUEST_MAX (256 * 1024)

typedef struct {
    krb5_context ctx;
    void *kadm;
    krb5_keytab present, fresh; /* `present` is NULL when there is no file yet */
    char *fresh_path;
    char **names; /* of the principals, without their realm */
    const char *realm;
    gboolean rotate, elsewhere; /* the keys it goes on with are in another file */
    guint changed, locked;
} Work;

static char request[REQUEST_MAX + 1];

/* AES that every KDC of this century knows. */
static krb5_key_salt_tuple key_types[] = {{ENCTYPE_AES256_CTS_HMAC_SHA1_96, KRB5_KDB_SALTTYPE_NORMAL},
                                          {ENCTYPE_AES128_CTS_HMAC_SHA1_96, KRB5_KDB_SALTTYPE_NORMAL}};

static int
answer_error(krb5_context ctx, const char *what, krb5_error_code code)
{
    const char *text = ctx ? krb5_get_error_message(ctx, code) : error_message(code);
    printf("error %s: %s\n", what, text);
    if (ctx)
        krb5_free_error_message(ctx, text);
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ---- The keytab ------------------------------------------------------------------------------------------------ */

/* What the server takes (RFC 3962 and 8009). */
static gboolean
is_aes(krb5_enctype type)
{
    return type >= ENCTYPE_AES128_CTS_HMAC_SHA1_96 && type <= ENCTYPE_AES256_CTS_HMAC_SHA384_192;
}

/* Its principal gets new keys, which are to be the end of this one; others' keys are others' business. */
static gboolean
is_outdone(Work *w, const krb5_keytab_entry *entry)
{
    char *name = NULL;
    gboolean ours = FALSE;
    if (!w->rotate || is_aes(entry->key.enctype) || krb5_unparse_name(w->ctx, entry->principal, &name) != 0)
        return FALSE;
    for (char **one = w->names; *one && !ours; one++) {
        g_autofree char *full = g_strdup_printf("%s@%s", *one, w->realm);
        ours = strcmp(full, name) == 0;
    }
    krb5_free_unparsed_name(w->ctx, name);
    return ours;
}

static krb5_error_code
copy_present(Work *w)
{
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_kt_start_seq_get(w->ctx, w->present, &cursor);
    if (code == ENOENT)
        return 0;
    while (code == 0 && (code = krb5_kt_next_entry(w->ctx, w->present, &entry, &cursor)) == 0) {
        if (!is_outdone(w, &entry))
            code = krb5_kt_add_entry(w->ctx, w->fresh, &entry);
        krb5_free_keytab_entry_contents(w->ctx, &entry);
    }
    krb5_kt_end_seq_get(w->ctx, w->present, &cursor);
    return code == KRB5_KT_END ? 0 : code;
}

static krb5_error_code
open_keytabs(Work *w, const char *path, const char *before)
{
    struct stat st;
    g_autofree char *present = g_strconcat("FILE:", before, NULL), *fresh = NULL;
    w->fresh_path = g_strdup_printf("%s.new-%d", path, (int)getpid());
    fresh = g_strconcat("WRFILE:", w->fresh_path, NULL);
    unlink(w->fresh_path);
    krb5_error_code code = krb5_kt_resolve(w->ctx, fresh, &w->fresh);
    if (code != 0 || (stat(before, &st) != 0 && errno == ENOENT))
        return code;
    code = krb5_kt_resolve(w->ctx, present, &w->present);
    return code == 0 ? copy_present(w) : code;
}

static gboolean
has_key(Work *w, krb5_principal principal, krb5_kvno kvno, krb5_enctype type)
{
    krb5_keytab_entry entry;
    if (!w->present || krb5_kt_get_entry(w->ctx, w->present, principal, kvno, type, &entry) != 0)
        return FALSE;
    krb5_free_keytab_entry_contents(w->ctx, &entry);
    return TRUE;
}

/* The keytab has the newest version in each type in which the KDC may give out tickets. */
static gboolean
has_newest(Work *w, krb5_principal principal, const kadm5_principal_ent_rec *known)
{
    for (int i = 0; i < known->n_key_data; i++) {
        const krb5_key_data *data = &known->key_data[i];
        if (data->key_data_kvno == (krb5_kvno)known->kvno && is_aes(data->key_data_type[0]) &&
            !has_key(w, principal, data->key_data_kvno, data->key_data_type[0]))
            return FALSE;
    }
    return has_key(w, principal, known->kvno, ENCTYPE_NULL);
}

static krb5_error_code
add_key(Work *w, krb5_principal principal, krb5_kvno kvno, krb5_keyblock *key)
{
    krb5_keytab_entry entry = {
        .principal = principal, .vno = kvno, .timestamp = (krb5_timestamp)time(NULL), .key = *key};
    return krb5_kt_add_entry(w->ctx, w->fresh, &entry);
}

static krb5_error_code
put_in_place(Work *w, const char *path)
{
    int fd = open(w->fresh_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    krb5_error_code code = fd < 0 || fchmod(fd, 0600) != 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (code == 0 && rename(w->fresh_path, path) != 0)
        code = errno;
    return code;
}

/* ---- Principals ------------------------------------------------------------------------------------------------ */

/* `*complete` may be NULL: nobody asks. */
static krb5_error_code
version_of(Work *w, krb5_principal principal, krb5_kvno *kvno, gboolean *complete)
{
    kadm5_principal_ent_rec entry = {0};
    krb5_error_code code =
        kadm5_get_principal(w->kadm, principal, &entry, KADM5_PRINCIPAL_NORMAL_MASK | KADM5_KEY_DATA);
    if (code == 0) {
        *kvno = entry.kvno;
        if (complete)
            *complete = has_newest(w, principal, &entry);
    }
    kadm5_free_principal_ent(w->kadm, &entry);
    return code;
}

static krb5_error_code
make_keys(Work *w, krb5_principal principal, gboolean keep_old, krb5_kvno *kvno)
{
    krb5_keyblock *keys = NULL;
    int n = 0;
    krb5_error_code code =
        kadm5_randkey_principal_3(w->kadm, principal, keep_old, G_N_ELEMENTS(key_types), key_types, &keys, &n);
    if (code == 0)
        code = version_of(w, principal, kvno, NULL);
    for (int i = 0; i < n; i++) {
        if (code == 0)
            code = add_key(w, principal, *kvno, &keys[i]);
        krb5_free_keyblock_contents(w->ctx, &keys[i]);
    }
    free(keys);
    return code;
}

static krb5_error_code
copy_keys(Work *w, krb5_principal principal, krb5_kvno kvno)
{
    kadm5_key_data *data = NULL;
    int n = 0;
    krb5_error_code code = kadm5_get_principal_keys(w->kadm, principal, kvno, &data, &n);
    for (int i = 0; i < n && code == 0; i++)
        if (!has_key(w, principal, data[i].kvno, data[i].key.enctype))
            code = add_key(w, principal, data[i].kvno, &data[i].key);
    if (data)
        kadm5_free_kadm5_key_data(w->ctx, n, data);
    return code;
}

static krb5_error_code
create(Work *w, krb5_principal principal)
{
    kadm5_principal_ent_rec entry = {.principal = principal};
    return kadm5_create_principal_3(w->kadm, &entry, KADM5_PRINCIPAL, G_N_ELEMENTS(key_types), key_types, NULL);
}

static krb5_error_code
bring_one(Work *w, const char *name, krb5_principal principal)
{
    const char *what = "kept";
    krb5_kvno kvno = 0;
    gboolean complete = FALSE;
    krb5_error_code code = version_of(w, principal, &kvno, &complete);
    if (code == KADM5_UNK_PRINC) {
        what = "made";
        /* The keys it was made with are not told: others that are. */
        if ((code = create(w, principal)) == 0)
            code = make_keys(w, principal, FALSE, &kvno);
    } else if (code == 0 && w->rotate) {
        what = "rotated";
        code = make_keys(w, principal, TRUE, &kvno);
    } else if (code == 0 && !complete) {
        what = "copied";
        code = copy_keys(w, principal, kvno);
        if (code == KADM5_AUTH_EXTRACT || code == KADM5_PROTECT_KEYS) {
            what = "locked";
            w->locked++;
            code = 0;
        }
    }
    if (code != 0)
        return code;
    w->changed += strcmp(what, "kept") != 0 && strcmp(what, "locked") != 0;
    printf("%s %s %u\n", what, name, (unsigned)kvno);
    return 0;
}

/* What was made is in the keytab even if a later one fails: its keys exist nowhere else. */
static int
bring_all(Work *w, const char *path)
{
    const char *failed = NULL;
    krb5_error_code code = 0;
    for (char **name = w->names; *name && code == 0; name++) {
        krb5_principal principal = NULL;
        g_autofree char *full = g_strdup_printf("%s@%s", *name, w->realm);
        failed = *name;
        code = krb5_parse_name(w->ctx, full, &principal);
        if (code == 0)
            code = bring_one(w, *name, principal);
        krb5_free_principal(w->ctx, principal);
    }
    if (w->changed > 0 || (w->elsewhere && code == 0)) {
        krb5_error_code written = put_in_place(w, path);
        if (written != 0)
            return answer_error(w->ctx, path, written);
    }
    if (code != 0)
        return answer_error(w->ctx, failed, code);
    puts("done");
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ---- The request ----------------------------------------------------------------------------------------------- */

static gboolean
read_request(void)
{
    size_t got = 0;
    ssize_t n;
    while (got < REQUEST_MAX && (n = read(STDIN_FILENO, request + got, REQUEST_MAX - got)) != 0) {
        if (n < 0 && errno != EINTR)
            return FALSE;
        got += n > 0 ? (size_t)n : 0;
    }
    return got < REQUEST_MAX;
}

static int
work(const char *admin, const char *realm, const char *path, const char *before, gboolean rotate, char **names,
     char *password)
{
    Work w = {.names = names, .realm = realm, .rotate = rotate, .elsewhere = strcmp(path, before) != 0};
    kadm5_config_params params = {.mask = KADM5_CONFIG_REALM, .realm = (char *)realm};
    krb5_error_code code = kadm5_init_krb5_context(&w.ctx);
    int status;
    if (code != 0)
        return answer_error(NULL, "krb5.conf cannot be read", code);
    code = kadm5_init_with_password(w.ctx, (char *)admin, password, NULL, &params, KADM5_STRUCT_VERSION,
                                    KADM5_API_VERSION_4, NULL, &w.kadm);
    if (code != 0) {
        status = answer_error(w.ctx, admin, code);
        krb5_free_context(w.ctx);
        return status;
    }
    code = open_keytabs(&w, path, before);
    status = code == 0 ? bring_all(&w, path) : answer_error(w.ctx, path, code);
    unlink(w.fresh_path); /* when it was not needed */
    kadm5_destroy(w.kadm);
    if (w.present)
        krb5_kt_close(w.ctx, w.present);
    if (w.fresh)
        krb5_kt_close(w.ctx, w.fresh);
    krb5_free_context(w.ctx);
    g_free(w.fresh_path);
    return status;
}

int
main(void)
{
    const struct rlimit no_core = {0, 0};
    umask(0077);
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &no_core);
    /* Best effort: without the privilege the password may be swapped out for the moment it is here. */
    (void)mlock(request, sizeof request);
    char *end = read_request() ? strstr(request, "\n\n") : NULL;
    if (!end)
        return answer_error(NULL, "the request cannot be read", EINVAL);
    *end = '\0';
    g_auto(GStrv) lines = g_strsplit(request, "\n", -1);
    if (g_strv_length(lines) < 6 || strpbrk(lines[0], " \t"))
        return answer_error(NULL, "the request is not complete", EINVAL);
    const char *at = strrchr(lines[0], '@'), *realm = strcmp(lines[1], "-") != 0 ? lines[1] : at ? at + 1 : "";
    g_autofree char *admin = at ? g_strdup(lines[0]) : g_strdup_printf("%s@%s", lines[0], realm);
    int status = work(admin, realm, lines[2], lines[3], strcmp(lines[4], "rotate") == 0, lines + 5, end + 2);
    explicit_bzero(request, sizeof request);
    return status;
}
