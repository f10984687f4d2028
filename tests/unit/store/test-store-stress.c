/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Eight threads make, rename, remove, find, list and read the same few names. Nothing may crash, leak or be undefined
 * (run it under the sanitizers), and at the end all counts are back where they were. */
#include "store-fixture.h"

#define THREADS 8
#define NAMES   6

typedef struct {
    Fixture *f;
    guint seed;
    LaresCred cred;
    LaresHandle seen[16];
    guint n_seen;
} Worker;

static void
expect(LaresStatus status)
{
    switch (status) {
    case LARES_OK:
    case LARES_NOENT:
    case LARES_EXIST:
    case LARES_STALE:
    case LARES_NOTEMPTY:
    case LARES_ISDIR:
    case LARES_NOTDIR:
    case LARES_SYMLINK:
    case LARES_INVAL:
    case LARES_DELAY:
    case LARES_ACCESS:
    case LARES_WRONG_TYPE:
        return;
    default:
        g_error("unexpected %s", lares_status_name(status));
    }
}

static gboolean
take_all(const LaresDirEntry *entry, gpointer user)
{
    return ++*(guint *)user < 50;
}

static void
use_node(Worker *w, LaresNode *node)
{
    LaresStore *s = w->f->s;
    LaresAttrs a;
    LaresFile *file;
    uint8_t buf[100];
    size_t done;
    uint32_t allowed;
    w->seen[w->n_seen++ % G_N_ELEMENTS(w->seen)] = node->handle;
    expect(IFACE(s)->getattr(s, node, LARES_ATTR_STAT, &a));
    expect(IFACE(s)->access(s, &w->cred, node, 0x1ff, &allowed));
    LaresStatus status = IFACE(s)->open(s, &w->cred, node, w->seed & 1 ? RW : LARES_ACCESS_READ, &file);
    expect(status);
    if (status != LARES_OK)
        return;
    if (file->access & LARES_ACCESS_WRITE) {
        struct iovec iov = {(void *)"data", 4};
        expect(IFACE(s)->write(s, file, 0, &iov, 1, LARES_STABLE_NONE, &done));
    }
    expect(IFACE(s)->read(s, file, 0, buf, sizeof buf, &done));
    lares_file_unref(file);
}

static void
step(Worker *w, GRand *rand)
{
    LaresStore *s = w->f->s;
    LaresNode *node = NULL;
    LaresFile *file = NULL;
    LaresStatus status = LARES_OK;
    LaresCreate how = {.type = LARES_TYPE_REGULAR, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0666}};
    gboolean created, eof;
    guint seen = 0;
    char a[8], b[8];
    g_snprintf(a, sizeof a, "n%d", g_rand_int_range(rand, 0, NAMES));
    g_snprintf(b, sizeof b, "n%d", g_rand_int_range(rand, 0, NAMES));
    switch (w->seed = (guint)g_rand_int_range(rand, 0, 10)) {
    case 0:
    case 1:
        status = IFACE(s)->create(s, &w->cred, w->f->root, a, &how, RW, &node, &file, &created);
        break;
    case 2:
        status = try_make(s, &w->cred, w->f->root, a, LARES_TYPE_DIRECTORY, 0777, NULL);
        break;
    case 3:
        status = IFACE(s)->rename(s, &w->cred, w->f->root, a, w->f->root, b, TRUE);
        break;
    case 4:
    case 5:
        status = IFACE(s)->remove(s, &w->cred, w->f->root, a);
        break;
    case 6:
        status = IFACE(s)->readdir(s, &w->cred, w->f->root, 0, take_all, &seen, &eof);
        break;
    case 7:
        if (w->n_seen) {
            LaresHandle *h = &w->seen[(guint)g_rand_int(rand) % MIN(w->n_seen, G_N_ELEMENTS(w->seen))];
            status = IFACE(s)->from_handle(s, h->bytes, h->len, &node);
        }
        break;
    default:
        status = IFACE(s)->lookup(s, &w->cred, w->f->root, a, &node);
    }
    expect(status);
    if (status == LARES_OK && node) {
        use_node(w, node);
        lares_node_unref(node);
    }
    if (status == LARES_OK && file)
        lares_file_unref(file);
    if (g_rand_int_range(rand, 0, 64) == 0)
        posix_cache_sweep(POSIX_STORE(s));
}

/* ---- Handles of a listing while names change hands --------------------------------------------------------------- */

typedef struct {
    Fixture *f;
    gint stop; /* atomic */
    guint told, refused;
} Race;

static gboolean
check_handle(const LaresDirEntry *entry, const LaresAttrs *attrs, LaresNode *node, gpointer user)
{
    Race *race = user;
    LaresStore *s = race->f->s;
    LaresHandle handle;
    if (!attrs)
        return TRUE;
    if (node) {
        g_assert_cmpuint(node->fileid, ==, attrs->fileid);
        return TRUE;
    }
    LaresStatus status = IFACE(s)->entry_handle(s, race->f->root, entry->name, attrs->fileid, &handle);
    if (status != LARES_OK) {
        expect(status);
        race->refused++;
        return TRUE;
    }
    race->told++;
    g_autoptr(LaresNode) found = NULL;
    status = IFACE(s)->from_handle(s, handle.bytes, handle.len, &found);
    expect(status);
    if (status == LARES_OK)
        g_assert_cmpuint(found->fileid, ==, attrs->fileid);
    return TRUE;
}

/* Two files change places again and again, without the store. */
static gpointer
swap_names(gpointer data)
{
    Race *race = data;
    g_autofree char *a = g_build_filename(race->f->dir, "n0", NULL), *b = g_build_filename(race->f->dir, "n1", NULL);
    while (!g_atomic_int_get(&race->stop))
        g_assert_cmpint(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), ==, 0);
    return NULL;
}

/* Whatever a listing says of a name: number and handle are one object's. */
static void
test_swapped_names(Fixture *f, gconstpointer data)
{
    Race race = {.f = f};
    guint rounds = g_test_slow() ? 50000 : 4000;
    gboolean eof;
    POSIX_STORE(f->s)->max_idle = 0;
    lares_node_unref(must_make(f->s, &f->me, f->root, "n0", LARES_TYPE_REGULAR, 0600));
    lares_node_unref(must_make(f->s, &f->me, f->root, "n1", LARES_TYPE_REGULAR, 0600));
    GThread *thread = g_thread_new("swap", swap_names, &race);
    for (guint i = 0; i < rounds; i++)
        assert_ok(IFACE(f->s)->readdir_attrs(f->s, &f->me, f->root, 0, LARES_ATTR_STAT | LARES_ATTR_HANDLE, FALSE,
                                             check_handle, &race, &eof));
    g_atomic_int_set(&race.stop, 1);
    g_thread_join(thread);
    g_test_message("%u handles told, %u refused", race.told, race.refused);
    if (f->root->handle.bytes[0] == 1)
        g_assert_cmpuint(race.told, >, 0);
}

static gpointer
work(gpointer data)
{
    Worker *w = data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(w->seed);
    guint rounds = g_test_slow() ? 20000 : 2000;
    for (guint i = 0; i < rounds; i++)
        step(w, rand);
    return NULL;
}

static void
test_same_names(Fixture *f, gconstpointer data)
{
    GThread *threads[THREADS];
    Worker workers[THREADS];
    POSIX_STORE(f->s)->max_idle = 2;
    POSIX_STORE(f->s)->idle_usec = 1000;
    for (guint i = 0; i < THREADS; i++) {
        uint32_t uid = geteuid() == 0 ? 41000 + i % 3 : geteuid();
        workers[i] = (Worker){.f = f, .seed = 100 + i, .cred = cred_of(uid, geteuid() == 0 ? uid : getegid())};
        threads[i] = g_thread_new("work", work, &workers[i]);
    }
    for (guint i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    g_assert_cmpint(POSIX_STORE(f->s)->n_spare, >=, 0);
}

static void
add_tests(void)
{
    g_test_add("/store-stress/same-names", Fixture, NULL, fixture_set_up, test_same_names, fixture_tear_down);
    g_test_add("/store-stress/swapped-names", Fixture, NULL, fixture_set_up, test_swapped_names, fixture_tear_down);
    g_test_add("/store-stress/inode-table", Fixture, GINT_TO_POINTER(1), fixture_set_up, test_same_names,
               fixture_tear_down);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
