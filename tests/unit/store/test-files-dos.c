/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A time of change that was set holds until something changes, also where the file system has a clock of its own: a
 * store whose time is not ours, with one file. */
#include "files/files-private.h"

#define APART_NS INT64_C(-3600000000000)

typedef struct {
    GObject parent;
    int64_t ns; /* ctime: moves with every change */
    uint8_t note[64];
    size_t len;
    guint written;
} Clock;
typedef GObjectClass ClockClass;

static GType clock_get_type(void);
static void iface_init(LaresStoreInterface *iface);
G_DEFINE_TYPE_WITH_CODE(Clock, clock, G_TYPE_OBJECT, G_IMPLEMENT_INTERFACE(LARES_TYPE_STORE, iface_init))

static LaresStatus
clock_getattr(LaresStore *self, LaresNode *node, uint32_t mask, LaresAttrs *attrs)
{
    const Clock *c = (Clock *)self;
    *attrs = (LaresAttrs){.mask = LARES_ATTR_CTIME | LARES_ATTR_CHANGE,
                          .ctime = {c->ns / 1000000000, (uint32_t)(c->ns % 1000000000)},
                          .change = (uint64_t)c->ns};
    return LARES_OK;
}

static LaresStatus
clock_set_note(LaresStore *self, LaresNode *node, const char *name, const uint8_t *value, size_t len)
{
    Clock *c = (Clock *)self;
    g_assert_cmpuint(len, <=, sizeof c->note);
    memcpy(c->note, value, len);
    c->len = len;
    c->ns += 1000;
    c->written++;
    return LARES_OK;
}

static LaresStatus
clock_get_note(LaresStore *self, LaresNode *node, const char *entry, const char *name, uint8_t *buf, size_t size,
               size_t *len)
{
    const Clock *c = (Clock *)self;
    g_assert_cmpuint(c->len, <=, size);
    memcpy(buf, c->note, c->len);
    *len = c->len;
    return LARES_OK;
}

static void
iface_init(LaresStoreInterface *iface)
{
    iface->getattr = clock_getattr;
    iface->set_note = clock_set_note;
    iface->get_note = clock_get_note;
}

static void
clock_class_init(ClockClass *class)
{
}

static void
clock_init(Clock *c)
{
    c->ns = g_get_real_time() * 1000 + APART_NS;
}

static gboolean
has_change(LaresFiles *files, const LaresObject *object, LaresTime *change)
{
    LaresAttrs attrs;
    LaresDos got;
    clock_getattr(object->share->store, object->node, 0, &attrs);
    lares_files_get_dos(files, object, NULL, &attrs, &got);
    *change = got.change;
    return got.has_change;
}

static void
test_clock_of_its_own(void)
{
    g_autoptr(GObject) store = g_object_new(clock_get_type(), NULL);
    Clock *c = (Clock *)store;
    LaresFiles files = {0};
    LaresShare share = {.ref = 1, .id = 7, .store = LARES_STORE(store)};
    LaresNode node = {.ref = 1, .type = LARES_TYPE_REGULAR, .store = LARES_STORE(store)};
    LaresObject object = {&share, &node};
    LaresDos dos = {.has_change = TRUE, .change = {12345, 678}};
    LaresTime change;
    g_assert_cmpint(lares_files_set_dos(&files, &object, &dos), ==, LARES_OK);
    g_assert_cmpuint(c->written, ==, 2); /* our time, then its own */
    g_assert_true(has_change(&files, &object, &change));
    g_assert_cmpint(change.sec, ==, 12345);
    g_assert_cmpuint(change.nsec, ==, 678);
    c->ns += 50000000; /* somebody changes the file */
    g_assert_false(has_change(&files, &object, &change));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/files/dos/clock-of-its-own", test_clock_of_its_own);
    return g_test_run();
}
