/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of flavors, the login with its audit line, and auth-sys as the server loads it. */
#include "auth/registry.h"
#include "base/log.h"
#include "directory-fixture.h"
#include "module/host-private.h"

#include <stdlib.h>
#include <unistd.h>

extern const LaresModule lares_module; /* auth-sys */

/* ---- A provider that a test fills ------------------------------------------------------------------------------ */

#define TEST_TYPE_PROVIDER (test_provider_get_type())
G_DECLARE_FINAL_TYPE(TestProvider, test_provider, TEST, PROVIDER, GObject)
struct _TestProvider {
    GObject parent_instance;
    const char *name;
    LaresFlavor flavor[4];
    size_t n;
};

#define TEST_TYPE_CONTEXT (test_context_get_type())
G_DECLARE_FINAL_TYPE(TestContext, test_context, TEST, CONTEXT, GObject)
struct _TestContext {
    GObject parent_instance;
    LaresAuthPeer peer;
    gboolean established;
};

static const LaresAuthPeer *
test_context_get_peer(LaresAuthContext *context)
{
    return TEST_CONTEXT(context)->established ? &TEST_CONTEXT(context)->peer : NULL;
}

static void
test_context_iface_init(LaresAuthContextInterface *iface)
{
    iface->get_peer = test_context_get_peer;
}

G_DEFINE_FINAL_TYPE_WITH_CODE(TestContext, test_context, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_CONTEXT, test_context_iface_init))

static void
test_context_init(TestContext *self)
{
}

static void
test_context_class_init(TestContextClass *class)
{
}

static const char *
test_provider_get_name(LaresAuthProvider *provider)
{
    return TEST_PROVIDER(provider)->name;
}

static const LaresFlavor *
test_provider_get_flavors(LaresAuthProvider *provider, size_t *n)
{
    *n = TEST_PROVIDER(provider)->n;
    return TEST_PROVIDER(provider)->flavor;
}

static LaresAuthContext *
test_provider_accept(LaresAuthProvider *provider, const char *service, const LaresPeer *peer, GError **error)
{
    return g_object_new(TEST_TYPE_CONTEXT, NULL);
}

static void
test_provider_iface_init(LaresAuthProviderInterface *iface)
{
    iface->get_name = test_provider_get_name;
    iface->get_flavors = test_provider_get_flavors;
    iface->accept = test_provider_accept;
}

G_DEFINE_FINAL_TYPE_WITH_CODE(TestProvider, test_provider, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_PROVIDER, test_provider_iface_init))

static void
test_provider_init(TestProvider *self)
{
}

static void
test_provider_class_init(TestProviderClass *class)
{
}

static const uint8_t oid[] = {0x2a, 0x03, 0x04};

static LaresFlavor
gss(const char *name, LaresProtection protection, uint32_t rpc, uint32_t service)
{
    return (LaresFlavor){.name = name,
                         .protection = protection,
                         .rpc_flavor = rpc,
                         .gss_oid = oid,
                         .gss_oid_len = 3,
                         .gss_service = service};
}

static gboolean
add(const char *name, LaresFlavor flavor, gint code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TestProvider) p = g_object_new(TEST_TYPE_PROVIDER, NULL);
    p->name = name;
    p->n = 1;
    p->flavor[0] = flavor;
    gboolean ok = lares_auth_registry_add(LARES_AUTH_PROVIDER(p), &error);
    if (code >= 0)
        g_assert_error(error, LARES_ERROR, code);
    else
        g_assert_no_error(error);
    return ok;
}

/* ---- The registry ---------------------------------------------------------------------------------------------- */

static void
test_registry_refuses(Fixture *f, gconstpointer data)
{
    const LaresFlavor fine = {.name = "fine", .protection = LARES_PROTECT_AUTHENTICATED, .rpc_flavor = 400001};
    LaresFlavor bad = fine;
    add("p1", (LaresFlavor){.rpc_flavor = 7}, LARES_ERROR_MODULE);
    bad.name = "Upper";
    add("p1", bad, LARES_ERROR_MODULE);
    bad.name = "a,b";
    add("p1", bad, LARES_ERROR_MODULE);
    bad.name = "";
    add("p1", bad, LARES_ERROR_MODULE);
    bad = fine;
    bad.rpc_flavor = 6;
    add("p1", bad, LARES_ERROR_MODULE);
    bad = fine;
    bad.rpc_flavor = LARES_RPC_FLAVOR_NONE;
    add("p1", bad, LARES_ERROR_MODULE);
    bad = fine;
    bad.protection = LARES_PROTECT_PRIVACY;
    add("p1", bad, LARES_ERROR_MODULE);
    bad = fine;
    bad.gss_service = 2;
    add("p1", bad, LARES_ERROR_MODULE);
    add("p1", gss("g", LARES_PROTECT_INTEGRITY, 400002, 3), LARES_ERROR_MODULE);
    add("p1", gss("g", LARES_PROTECT_NONE, 400002, 0), LARES_ERROR_MODULE);
    add("p1", gss("g", LARES_PROTECT_PRIVACY, 400002, 4), LARES_ERROR_MODULE);
    add(NULL, fine, LARES_ERROR_MODULE);
    add("No Name", fine, LARES_ERROR_MODULE);
    g_assert_null(lares_flavor_by_name("fine")); /* nothing half added */
    add("p1", fine, -1);
    add("p1", (LaresFlavor){.name = "other", .rpc_flavor = 400003}, LARES_ERROR_EXISTS);
    add("p2", fine, LARES_ERROR_EXISTS);
    add("p2", (LaresFlavor){.name = "other", .rpc_flavor = 400001}, LARES_ERROR_EXISTS);
    add("p3", gss("tg", LARES_PROTECT_PRIVACY, 400004, 3), -1);
    add("p4", gss("th", LARES_PROTECT_PRIVACY, 400005, 3), LARES_ERROR_EXISTS);

    g_autoptr(GError) error = NULL;
    g_autoptr(TestProvider) twins = g_object_new(TEST_TYPE_PROVIDER, NULL);
    twins->name = "twins";
    twins->flavor[0] = (LaresFlavor){.name = "twin-a", .rpc_flavor = 400010};
    twins->flavor[1] = (LaresFlavor){.name = "twin-b", .rpc_flavor = 400010};
    twins->n = 2;
    g_assert_false(lares_auth_registry_add(LARES_AUTH_PROVIDER(twins), &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_EXISTS);
    g_assert_null(lares_flavor_by_name("twin-a"));
    g_clear_error(&error);
    twins->n = 0;
    g_assert_false(lares_auth_registry_add(LARES_AUTH_PROVIDER(twins), &error));
}

static void
test_registry_finds(Fixture *f, gconstpointer data)
{
    const LaresFlavor *flavor = lares_flavor_by_name("tg");
    g_assert_nonnull(flavor);
    g_assert_true(lares_flavor_by_rpc(400004) == flavor);
    g_assert_true(lares_flavor_by_gss(oid, 3, 3) == flavor);
    g_assert_null(lares_flavor_by_gss(oid, 3, 2));
    g_assert_null(lares_flavor_by_gss(oid, 2, 3));
    g_assert_null(lares_flavor_by_rpc(LARES_RPC_FLAVOR_NONE));
    g_assert_null(lares_flavor_by_name("krb5p"));
    g_assert_cmpstr(lares_auth_provider_get_name(lares_flavor_provider(flavor)), ==, "p3");
    g_assert_null(lares_flavor_provider(&(LaresFlavor){.name = "tg"}));
}

/* What a module left out has a safe answer. */
static void
test_incomplete_context(Fixture *f, gconstpointer data)
{
    g_autoptr(TestContext) bare = g_object_new(TEST_TYPE_CONTEXT, NULL);
    LaresAuthContext *context = LARES_AUTH_CONTEXT(bare);
    GBytes *out;
    char *reason;
    uint8_t byte = 0, *message;
    size_t len = 1;
    g_assert_cmpint(lares_auth_context_step(context, &byte, 1, &out, &reason), ==, LARES_AUTH_FAILED);
    g_free(reason);
    g_assert_cmpint(lares_auth_context_wrap(context, TRUE, &byte, 1), ==, LARES_NOTSUPP);
    g_assert_cmpint(lares_auth_context_unwrap(context, TRUE, &byte, 1, &message, &len), ==, LARES_NOTSUPP);
    g_assert_cmpint(lares_auth_context_get_mic(context, NULL, 0, &byte, &len), ==, LARES_NOTSUPP);
    g_assert_cmpint(lares_auth_context_verify_mic(context, NULL, 0, &byte, 1), ==, LARES_NOTSUPP);
    g_assert_null(lares_auth_context_get_session_key(context));
    g_assert_cmpint(lares_auth_context_get_expiry(context), ==, INT64_MAX);
}

/* ---- auth-sys -------------------------------------------------------------------------------------------------- */

static void
load_auth_sys(void)
{
    g_autoptr(GError) error = NULL;
    LaresHostModule module = {.name = (char *)"auth-sys", .module = &lares_module};
    if (lares_flavor_by_name("sys"))
        return;
    LaresHost *host = lares_host_new();
    lares_host_begin_load(host, &module);
    g_assert_true(lares_module.load(host, NULL, &error));
    g_assert_true(lares_host_end_load(host, TRUE, &error));
    g_assert_no_error(error);
    g_clear_pointer(&module.protocols, g_ptr_array_unref);
    lares_host_free(host);
}

static LaresAuthContext *
step_sys(const char *flavor, const uint8_t *body, size_t len, LaresAuthState expected)
{
    GBytes *out = NULL;
    g_autofree char *reason = NULL;
    LaresPeer peer = {.address = "192.0.2.7"};
    LaresAuthProvider *provider = lares_flavor_provider(lares_flavor_by_name(flavor));
    LaresAuthContext *context = lares_auth_provider_accept(provider, "nfs", &peer, NULL);
    g_assert_null(lares_auth_context_get_peer(context));
    g_assert_cmpint(lares_auth_context_step(context, body, len, &out, &reason), ==, expected);
    g_assert_null(out);
    g_assert_true((expected == LARES_AUTH_FAILED) == (reason != NULL));
    g_assert_true((expected == LARES_AUTH_ESTABLISHED) == (lares_auth_context_get_peer(context) != NULL));
    return context;
}

/* stamp 1, machinename "box", uid 1000, gid 1001, gids 7 8 */
static const uint8_t parms[] = {0, 0, 0, 1,   0, 0, 0, 3, 'b', 'o', 'x', 0, 0, 0, 3, 232,
                                0, 0, 3, 233, 0, 0, 0, 2, 0,   0,   0,   7, 0, 0, 0, 8};

static void
test_sys_parses(Fixture *f, gconstpointer data)
{
    load_auth_sys();
    g_assert_cmpuint(lares_flavor_by_name("sys")->rpc_flavor, ==, 1);
    g_assert_cmpuint(lares_flavor_by_name("none")->rpc_flavor, ==, 0);
    g_autoptr(GObject) context = G_OBJECT(step_sys("sys", parms, sizeof parms, LARES_AUTH_ESTABLISHED));
    const LaresAuthPeer *peer = lares_auth_context_get_peer(LARES_AUTH_CONTEXT(context));
    g_assert_true(peer->unix_ids && !peer->anonymous && !peer->principal);
    g_assert_cmpuint(peer->uid, ==, 1000);
    g_assert_cmpuint(peer->gid, ==, 1001);
    g_assert_cmpuint(peer->n_groups, ==, 2);
    g_assert_cmpuint(peer->groups[1], ==, 8);
    g_assert_cmpstr(peer->machine_name, ==, "box");
    GBytes *out;
    g_autofree char *reason = NULL;
    g_assert_cmpint(lares_auth_context_step(LARES_AUTH_CONTEXT(context), parms, sizeof parms, &out, &reason), ==,
                    LARES_AUTH_FAILED);
}

static void
test_sys_bounds(Fixture *f, gconstpointer data)
{
    load_auth_sys();
    for (size_t len = 0; len < sizeof parms; len++)
        g_object_unref(step_sys("sys", parms, len, LARES_AUTH_FAILED));
    uint8_t longer[sizeof parms + 4] = {0};
    memcpy(longer, parms, sizeof parms);
    g_object_unref(step_sys("sys", longer, sizeof longer, LARES_AUTH_FAILED)); /* bytes behind the end */

    g_autoptr(GByteArray) body = g_byte_array_new();
    static const uint8_t head[] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 3, 233, 0, 0, 0, 16};
    g_byte_array_append(body, head, sizeof head);
    for (guint i = 0; i < 16; i++)
        g_byte_array_append(body, (const uint8_t[]){0, 0, 1, (uint8_t)i}, 4);
    g_object_unref(step_sys("sys", body->data, body->len, LARES_AUTH_ESTABLISHED));
    body->data[19] = 17; /* one group too many */
    g_byte_array_append(body, (const uint8_t[]){0, 0, 2, 0}, 4);
    g_object_unref(step_sys("sys", body->data, body->len, LARES_AUTH_FAILED));

    uint8_t long_name[8 + 256 + 12] = {0, 0, 0, 1, 0, 0, 1, 0}; /* a name of 256 bytes */
    g_object_unref(step_sys("sys", long_name, sizeof long_name, LARES_AUTH_FAILED));
    long_name[6] = 0;
    long_name[7] = 255;
    g_object_unref(step_sys("sys", long_name, sizeof long_name, LARES_AUTH_ESTABLISHED));

    g_autoptr(GObject) none = G_OBJECT(step_sys("none", NULL, 0, LARES_AUTH_ESTABLISHED));
    g_assert_true(lares_auth_context_get_peer(LARES_AUTH_CONTEXT(none))->anonymous);
    g_object_unref(step_sys("none", parms, sizeof parms, LARES_AUTH_FAILED));
}

/* ---- Logins and their lines ------------------------------------------------------------------------------------ */

typedef struct {
    char *file;
} Audit;

static void
audit_start(Audit *audit)
{
    int fd = g_file_open_tmp("lares-audit-XXXXXX", &audit->file, NULL);
    close(fd);
    g_assert_true(lares_audit_open(audit->file, NULL));
}

/* How many lines have all of the texts; the list ends with NULL. */
static guint
audit_count(const Audit *audit, const char *a, const char *b, const char *c)
{
    guint n = 0;
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(audit->file, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++)
        n += strstr(lines[i], "event=auth") && strstr(lines[i], a) && strstr(lines[i], b) && strstr(lines[i], c);
    return n;
}

static void
audit_stop(Audit *audit)
{
    g_unlink(audit->file);
    g_free(audit->file);
}

static LaresStatus
login_principal(Fixture *f, const char *principal, const char *flavor, gboolean *authenticated)
{
    LaresPeer peer = {.address = "192.0.2.7"};
    g_autoptr(LaresIdentity) identity = NULL;
    g_autoptr(TestContext) context = g_object_new(TEST_TYPE_CONTEXT, NULL);
    context->established = principal != NULL;
    context->peer = (LaresAuthPeer){.principal = principal};
    LaresStatus status =
        lares_auth_login_in(f->d, LARES_AUTH_CONTEXT(context), lares_flavor_by_name(flavor), "nfs4", &peer, &identity);
    g_assert_true((status == LARES_OK) == (identity != NULL));
    if (authenticated)
        *authenticated = identity && identity->authenticated;
    return status;
}

static void
test_every_kerberos_login_is_written(Fixture *f, gconstpointer data)
{
    Audit audit;
    gboolean authenticated;
    audit_start(&audit);
    for (guint i = 0; i < 3; i++)
        g_assert_cmpint(login_principal(f, "ada@HOME.LAN", "tg", &authenticated), ==, LARES_OK);
    g_assert_true(authenticated);
    g_assert_cmpuint(audit_count(&audit, "principal=ada@HOME.LAN realm=HOME.LAN user=ada client=192.0.2.7",
                                 "flavor=tg protocol=nfs4", "verdict=accepted"),
                     ==, 3);
    g_assert_cmpint(login_principal(f, "ada@EVIL", "tg", NULL), ==, LARES_ACCESS);
    g_assert_cmpuint(
        audit_count(&audit, "principal=ada@EVIL realm=EVIL", "verdict=refused", "reason=\"the realm is not ours\""), ==,
        1);
    g_assert_cmpint(login_principal(f, NULL, "tg", NULL), ==, LARES_ACCESS);
    g_assert_cmpuint(audit_count(&audit, "verdict=refused", "not established", ""), ==, 1);
    lares_auth_refused("tg", "nfs4", &(LaresPeer){.address = "192.0.2.9"}, "eve\n@HOME.LAN", "clock skew");
    g_assert_cmpuint(audit_count(&audit, "client=192.0.2.9", "eve\\x0a@HOME.LAN", "reason=\"clock skew\""), ==, 1);
    audit_stop(&audit);
}

/* Anybody can be refused as often as they like; a disk is not filled with it, and nobody else's lines get lost. */
static void
test_repeated_refusals_are_counted(Fixture *f, gconstpointer data)
{
    Audit audit;
    char left_out[LARES_AUDIT_LEFT_OUT];
    gint64 now = g_get_monotonic_time();
    audit_start(&audit);
    for (guint i = 0; i < 500; i++)
        lares_auth_refused("tg", "nfs4", &(LaresPeer){.address = "192.0.2.66"}, NULL, "no such key");
    guint written = audit_count(&audit, "client=192.0.2.66", "verdict=refused", "");
    g_assert_cmpuint(written, >=, 5);
    g_assert_cmpuint(written, <=, 50);
    lares_auth_refused("tg", "nfs4", &(LaresPeer){.address = "192.0.2.67"}, NULL, "no such key");
    g_assert_cmpuint(audit_count(&audit, "client=192.0.2.67", "verdict=refused", ""), ==, 1);
    g_assert_cmpint(login_principal(f, "ada@HOME.LAN", "tg", NULL), ==, LARES_OK);
    g_assert_cmpuint(audit_count(&audit, "principal=ada@HOME.LAN", "verdict=accepted", ""), ==, 1);
    /* The next line tells how many were left out. */
    g_assert_false(lares_audit_limit_at("192.0.2.66", now, left_out));
    g_assert_true(lares_audit_limit_at("192.0.2.66", now + 60 * G_USEC_PER_SEC, left_out));
    g_assert_cmpuint((guint)atoi(left_out), ==, 500 - written + 1);
    g_assert_true(lares_audit_limit_at("192.0.2.66", now + 60 * G_USEC_PER_SEC, left_out));
    g_assert_cmpstr(left_out, ==, "");
    /* Any number of addresses takes no more memory, and then they share one account. */
    guint passed = 0;
    for (guint i = 0; i < 20000; i++) {
        g_autofree char *who = g_strdup_printf("2001:db8::%x", i);
        passed += lares_audit_limit_at(who, now + 61 * G_USEC_PER_SEC, left_out);
    }
    g_assert_cmpuint(passed, <, 2000);
    audit_stop(&audit);
}

/* A flavor that proves nothing does not become proof because a module names a principal. */
static void
test_unproven_principal(Fixture *f, gconstpointer data)
{
    gboolean authenticated;
    load_auth_sys();
    g_assert_cmpint(login_principal(f, "ada@HOME.LAN", "sys", &authenticated), ==, LARES_OK);
    g_assert_false(authenticated);
}

static LaresStatus
login_uid(Fixture *f, const char *address, uint32_t uid)
{
    LaresPeer peer = {0};
    g_autoptr(LaresIdentity) identity = NULL;
    g_autoptr(TestContext) context = g_object_new(TEST_TYPE_CONTEXT, NULL);
    g_strlcpy(peer.address, address, sizeof peer.address);
    context->established = TRUE;
    context->peer = (LaresAuthPeer){.unix_ids = TRUE, .uid = uid, .gid = 100};
    return lares_auth_login_in(f->d, LARES_AUTH_CONTEXT(context), lares_flavor_by_name("sys"), "nfs4", &peer,
                               &identity);
}

static void
test_sys_logins_are_written_once(Fixture *f, gconstpointer data)
{
    Audit audit;
    load_auth_sys();
    audit_start(&audit);
    for (guint i = 0; i < 5; i++) {
        g_assert_cmpint(login_uid(f, "192.0.2.20", 1000), ==, LARES_OK);
        g_assert_cmpint(login_uid(f, "192.0.2.21", 1000), ==, LARES_OK);
    }
    g_assert_cmpuint(audit_count(&audit, "user=grace", "uid=1000", "verdict=accepted"), ==, 2);
    g_assert_true(lares_directory_user_disable(f->d, "grace", TRUE, NULL));
    for (guint i = 0; i < 3; i++)
        g_assert_cmpint(login_uid(f, "192.0.2.20", 1000), ==, LARES_ACCESS);
    g_assert_cmpuint(audit_count(&audit, "client=192.0.2.20", "uid=1000", "verdict=refused"), ==, 3);
    g_assert_true(lares_directory_user_disable(f->d, "grace", FALSE, NULL));
    g_assert_cmpint(login_uid(f, "192.0.2.20", 1000), ==, LARES_OK);
    g_assert_cmpuint(audit_count(&audit, "client=192.0.2.20", "uid=1000", "verdict=accepted"), ==, 2);
    audit_stop(&audit);
}

/* The value of a line of /metrics; 0 when it is not there. */
static guint64
metric(const char *series)
{
    g_autofree char *text = lares_metrics_text();
    g_autofree char *head = g_strdup_printf("\n%s ", series);
    const char *at = strstr(text, head);
    return at ? g_ascii_strtoull(at + strlen(head), NULL, 10) : 0;
}

#define FAILURES(flavor, reason)                                                                                       \
    metric("lares_auth_failures_total{protocol=\"nfs4\",flavor=\"" flavor "\",reason=\"" reason "\"}")
#define ATTEMPTS(flavor)  metric("lares_auth_attempts_total{protocol=\"nfs4\",flavor=\"" flavor "\"}")
#define SUCCESSES(flavor) metric("lares_auth_successes_total{protocol=\"nfs4\",flavor=\"" flavor "\"}")

static void
test_counters(Fixture *f, gconstpointer data)
{
    static gboolean added;
    load_auth_sys();
    if (!added)
        g_assert_true(lares_auth_add_metrics(NULL));
    added = TRUE;
    /* A flavor that nobody offers is no label of its own, whatever a peer calls it. */
    guint64 before = FAILURES("unknown", "expired");
    lares_auth_refused_as("no such flavor", "nfs4", &(LaresPeer){.address = "192.0.2.9"}, NULL, LARES_REFUSED_EXPIRED,
                          "garbage");
    g_assert_cmpuint(FAILURES("unknown", "expired"), ==, before + 1);
    g_assert_cmpuint(
        metric("lares_auth_failures_total{protocol=\"nfs4\",flavor=\"no such flavor\",reason=\"expired\"}"), ==, 0);
    /* Who is disabled, who is unknown, who is let in: each in its own place, and the sum is right. */
    guint64 attempts = ATTEMPTS("sys"), good = SUCCESSES("sys"), disabled = FAILURES("sys", "disabled");
    g_assert_cmpint(login_uid(f, "192.0.2.30", 1000), ==, LARES_OK);
    g_assert_true(lares_directory_user_disable(f->d, "grace", TRUE, NULL));
    g_assert_cmpint(login_uid(f, "192.0.2.30", 1000), ==, LARES_ACCESS);
    g_assert_true(lares_directory_user_disable(f->d, "grace", FALSE, NULL));
    g_assert_cmpuint(SUCCESSES("sys"), ==, good + 1);
    g_assert_cmpuint(FAILURES("sys", "disabled"), ==, disabled + 1);
    g_assert_cmpuint(ATTEMPTS("sys"), ==, attempts + 2);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test("/auth/registry/refuses", test_registry_refuses);
    test("/auth/registry/finds", test_registry_finds);
    test("/auth/context/incomplete", test_incomplete_context);
    test("/auth/sys/parses", test_sys_parses);
    test("/auth/sys/bounds", test_sys_bounds);
    test("/auth/login/kerberos", test_every_kerberos_login_is_written);
    test("/auth/login/unproven", test_unproven_principal);
    test("/auth/login/sys", test_sys_logins_are_written_once);
    test("/auth/counters", test_counters);
    /* The last: it leaves the memory of addresses full. */
    test("/auth/login/repeated-refusals", test_repeated_refusals_are_counted);
    return g_test_run();
}
