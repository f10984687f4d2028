/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RPCSEC_GSS's sequence window, table of contexts, and the head of initial tokens. */
#include "nfs4-gss.h"

#define LAST (GSS_WINDOW * 3 + 123u)

static void
test_window_order(void)
{
    Nfs4GssWindow w = {0};
    for (uint32_t seq = 1; seq <= LAST; seq++)
        g_assert_true(nfs4_gss_window_accept(&w, seq));
    for (uint32_t seq = LAST - GSS_WINDOW + 1; seq <= LAST; seq++)
        g_assert_false(nfs4_gss_window_accept(&w, seq));           /* seen */
    g_assert_false(nfs4_gss_window_accept(&w, LAST - GSS_WINDOW)); /* below */
    g_assert_false(nfs4_gss_window_accept(&w, 0));
}

static void
test_window_disorder(void)
{
    Nfs4GssWindow w = {0};
    g_assert_true(nfs4_gss_window_accept(&w, 1000000));
    for (uint32_t seq = 1000000 - GSS_WINDOW + 1; seq < 1000000; seq++) {
        g_assert_true(nfs4_gss_window_accept(&w, seq));
        g_assert_false(nfs4_gss_window_accept(&w, seq));
    }
    /* A jump forgets nothing that is still inside and opens what lies between. */
    g_assert_true(nfs4_gss_window_accept(&w, 1000000 + GSS_WINDOW / 2));
    g_assert_false(nfs4_gss_window_accept(&w, 1000000));
    g_assert_true(nfs4_gss_window_accept(&w, 1000001));
    g_assert_false(nfs4_gss_window_accept(&w, 1000000 - GSS_WINDOW / 2));
    g_assert_true(nfs4_gss_window_accept(&w, GSS_MAXSEQ - 1));
    g_assert_false(nfs4_gss_window_accept(&w, 1000001));
}

/* Against the obvious implementation, with a walk of its own. */
static void
test_window_model(void)
{
    Nfs4GssWindow w = {0};
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    g_autoptr(GRand) r = g_rand_new_with_seed(7);
    uint32_t highest = 0;
    for (int i = 0; i < 50000; i++) {
        uint32_t base = highest > GSS_WINDOW * 3 / 2 ? highest - GSS_WINDOW * 3 / 2 : 0;
        uint32_t seq = base + (uint32_t)g_rand_int_range(r, 1, (i % 100 == 0 ? 6 : 2) * (gint32)GSS_WINDOW);
        gboolean fresh =
            (seq > highest || highest - seq < GSS_WINDOW) && !g_hash_table_contains(seen, GUINT_TO_POINTER(seq));
        g_assert_cmpint(nfs4_gss_window_accept(&w, seq), ==, fresh);
        if (fresh)
            g_hash_table_add(seen, GUINT_TO_POINTER(seq));
        highest = MAX(highest, seq);
    }
}

static void
test_token_mechanism(void)
{
    static const uint8_t good[] = {0x60, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1, 0};
    const uint8_t *oid;
    size_t len;
    g_assert_true(nfs4_gss_token_mechanism(good, sizeof good, &oid, &len));
    g_assert_cmpmem(oid, len, good + 4, 9);
    for (size_t cut = 0; cut < sizeof good; cut++)
        g_assert_false(nfs4_gss_token_mechanism(good, cut, &oid, &len));
    for (size_t at = 0; at < 4; at++) {
        uint8_t bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[at] ^= 0x80;
        g_assert_false(nfs4_gss_token_mechanism(bad, sizeof bad, &oid, &len));
    }
    /* A bare AP-REQ is Kerberos's (DCE style); the answer to it, an AP-REP, begins nothing. */
    static const uint8_t bare[] = {0x6e, 0x00}, answer[] = {0x6f, 0x00};
    g_assert_true(nfs4_gss_token_mechanism(bare, sizeof bare, &oid, &len));
    g_assert_cmpmem(oid, len, good + 4, 9);
    g_assert_false(nfs4_gss_token_mechanism(answer, sizeof answer, &oid, &len));
}

static void
test_table(void)
{
    Nfs4GssTable *table = nfs4_gss_table_new(64, 64);
    Nfs4GssContext *last = NULL;
    for (int i = 0; i < 1000; i++) { /* bounded, and the newest is always there */
        Nfs4GssContext *context = nfs4_gss_context_new(NULL);
        nfs4_gss_table_add(table, context);
        Nfs4GssContext *found = nfs4_gss_table_find(table, context->handle, GSS_HANDLE_SIZE);
        g_assert_true(found == context);
        nfs4_gss_context_unref(found);
        g_assert_cmpuint(nfs4_gss_table_size(table), <=, 64);
        if (last)
            nfs4_gss_context_unref(last);
        last = context;
    }
    g_assert_null(nfs4_gss_table_find(table, last->handle, GSS_HANDLE_SIZE - 1));
    nfs4_gss_table_remove(table, last);
    nfs4_gss_table_remove(table, last);
    g_assert_null(nfs4_gss_table_find(table, last->handle, GSS_HANDLE_SIZE));
    nfs4_gss_context_unref(last);
    nfs4_gss_table_free(table);
}

/* A context of a principal, known by its handle. */
static void
add(Nfs4GssTable *table, const char *principal, uint8_t handle[GSS_HANDLE_SIZE])
{
    Nfs4GssContext *context = nfs4_gss_context_new(NULL);
    context->principal = g_strdup(principal);
    nfs4_gss_table_add(table, context);
    if (handle)
        memcpy(handle, context->handle, GSS_HANDLE_SIZE);
    nfs4_gss_context_unref(context);
}

static gboolean
has(Nfs4GssTable *table, const uint8_t *handle)
{
    Nfs4GssContext *context = nfs4_gss_table_find(table, handle, GSS_HANDLE_SIZE);
    if (context)
        nfs4_gss_context_unref(context);
    return context != NULL;
}

/* However many one makes: they push out their own, the oldest first. */
static void
test_one_principal(void)
{
    enum { ALL = 64, EACH = 16, OTHERS = 10 };
    Nfs4GssTable *table = nfs4_gss_table_new(ALL, EACH);
    uint8_t other[OTHERS][GSS_HANDLE_SIZE], mine[GSS_HANDLE_SIZE], newest[GSS_HANDLE_SIZE];
    for (guint i = 0; i < OTHERS; i++) {
        g_autofree char *name = g_strdup_printf("user %u", i);
        add(table, name, other[i]);
    }
    add(table, "mallory", mine);
    for (guint i = 0; i < 1000; i++) {
        add(table, "mallory", newest);
        g_assert_cmpuint(nfs4_gss_table_size(table), <=, OTHERS + EACH);
    }
    g_assert_false(has(table, mine));
    g_assert_true(has(table, newest));
    for (guint i = 0; i < OTHERS; i++)
        g_assert_true(has(table, other[i]));
    nfs4_gss_table_free(table);
}

/* Several who each stay within the bound: those with the most lose first, not those who use theirs seldom. */
static void
test_fair_share(void)
{
    enum { ALL = 64, EACH = 32, OTHERS = 20 };
    Nfs4GssTable *table = nfs4_gss_table_new(ALL, EACH);
    uint8_t other[OTHERS][GSS_HANDLE_SIZE];
    for (guint i = 0; i < OTHERS; i++) {
        g_autofree char *name = g_strdup_printf("user %u", i);
        add(table, name, other[i]);
    }
    for (guint i = 0; i < 1000; i++)
        add(table, i % 3 == 0 ? "mallory" : i % 3 == 1 ? "eve" : "trudy", NULL);
    g_assert_cmpuint(nfs4_gss_table_size(table), ==, ALL);
    for (guint i = 0; i < OTHERS; i++)
        g_assert_true(has(table, other[i]));
    /* All are alike: the one that was not used for longest goes. */
    Nfs4GssTable *alike = nfs4_gss_table_new(OTHERS, OTHERS);
    for (guint i = 0; i < OTHERS; i++) {
        g_autofree char *name = g_strdup_printf("user %u", i);
        add(alike, name, other[i]);
    }
    add(alike, "one more", NULL);
    g_assert_false(has(alike, other[0]));
    for (guint i = 1; i < OTHERS; i++)
        g_assert_true(has(alike, other[i]));
    nfs4_gss_table_free(alike);
    nfs4_gss_table_free(table);
}

/* ---- From several threads --------------------------------------------------------------------------------------- */

typedef struct {
    Nfs4GssTable *table;
    guint seed;
    GMutex *lock;
    uint8_t (*known)[GSS_HANDLE_SIZE]; /* of everybody's contexts, under lock */
} Player;

#define KNOWN 32

static gpointer
play(gpointer data)
{
    Player *p = data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(p->seed);
    for (int i = 0; i < 3000; i++) {
        uint8_t handle[GSS_HANDLE_SIZE];
        char name[2] = {(char)('a' + g_rand_int_range(rand, 0, 5)), 0};
        int slot = g_rand_int_range(rand, 0, KNOWN), what = g_rand_int_range(rand, 0, 4);
        if (what == 0) {
            add(p->table, name, handle);
            g_mutex_lock(p->lock);
            memcpy(p->known[slot], handle, GSS_HANDLE_SIZE);
            g_mutex_unlock(p->lock);
            continue;
        }
        g_mutex_lock(p->lock);
        memcpy(handle, p->known[slot], GSS_HANDLE_SIZE);
        g_mutex_unlock(p->lock);
        Nfs4GssContext *context = nfs4_gss_table_find(p->table, handle, GSS_HANDLE_SIZE);
        if (!context)
            continue;
        if (what == 1)
            nfs4_gss_table_remove(p->table, context);
        else
            __atomic_store_n(&context->touched, 0, __ATOMIC_RELAXED); /* so that the next one moves it */
        nfs4_gss_context_unref(context);
    }
    return NULL;
}

static void
test_threads(void)
{
    enum { THREADS = 4 };
    static GMutex lock;
    static uint8_t known[KNOWN][GSS_HANDLE_SIZE];
    Nfs4GssTable *table = nfs4_gss_table_new(20, 8);
    Player player[THREADS];
    GThread *thread[THREADS];
    for (guint i = 0; i < THREADS; i++) {
        player[i] = (Player){table, i, &lock, known};
        thread[i] = g_thread_new("player", play, &player[i]);
    }
    for (guint i = 0; i < THREADS; i++)
        g_thread_join(thread[i]);
    g_assert_cmpuint(nfs4_gss_table_size(table), <=, 20);
    for (guint i = 0; i < KNOWN; i++) {
        Nfs4GssContext *context = nfs4_gss_table_find(table, known[i], GSS_HANDLE_SIZE);
        if (context) {
            nfs4_gss_table_remove(table, context);
            nfs4_gss_context_unref(context);
        }
    }
    nfs4_gss_table_free(table);
}

static void
test_pending(void)
{
    Nfs4GssTable *table = nfs4_gss_table_new(64, 64);
    uint8_t first[GSS_HANDLE_SIZE], handle[GSS_HANDLE_SIZE];
    for (guint i = 0; i < GSS_MAX_PENDING + 10; i++) {
        Nfs4GssContext *context = nfs4_gss_context_new(NULL);
        memcpy(i == 0 ? first : handle, context->handle, GSS_HANDLE_SIZE);
        nfs4_gss_table_add_pending(table, context);
        nfs4_gss_context_unref(context);
    }
    g_assert_null(nfs4_gss_table_take_pending(table, first, GSS_HANDLE_SIZE)); /* pushed out */
    Nfs4GssContext *taken = nfs4_gss_table_take_pending(table, handle, GSS_HANDLE_SIZE);
    g_assert_nonnull(taken);
    g_assert_null(nfs4_gss_table_take_pending(table, handle, GSS_HANDLE_SIZE)); /* once */
    g_assert_null(nfs4_gss_table_find(table, handle, GSS_HANDLE_SIZE));         /* not for data */
    nfs4_gss_context_unref(taken);
    nfs4_gss_table_free(table);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nfs4-gss/window/order", test_window_order);
    g_test_add_func("/nfs4-gss/window/disorder", test_window_disorder);
    g_test_add_func("/nfs4-gss/window/model", test_window_model);
    g_test_add_func("/nfs4-gss/token-mechanism", test_token_mechanism);
    g_test_add_func("/nfs4-gss/table", test_table);
    g_test_add_func("/nfs4-gss/one-principal", test_one_principal);
    g_test_add_func("/nfs4-gss/fair-share", test_fair_share);
    g_test_add_func("/nfs4-gss/threads", test_threads);
    g_test_add_func("/nfs4-gss/pending", test_pending);
    return g_test_run();
}
