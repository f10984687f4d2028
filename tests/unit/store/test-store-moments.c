/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a store may tell a thread again within a moment (lares_store_moment_begin()), and what not. */
#include "store-fixture.h"

typedef struct {
    LaresStore *s;
    LaresNode *node;
    LaresFile *file;
} Other;

static gpointer
write_elsewhere(gpointer data)
{
    const Other *other = data;
    must_write(other->s, other->file, 0, "more", 4);
    return (gpointer)(gsize)attrs_of(other->s, other->node).change;
}

/* Another thread's change is told of by its change attribute: with it goes what there is now, not what was seen. */
static void
test_moment_and_change(Fixture *f, gconstpointer data)
{
    LaresCreate how = {.type = LARES_TYPE_REGULAR, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0644}};
    Other other = {.s = f->s};
    gboolean created;
    lares_store_moment_begin();
    assert_ok(IFACE(f->s)->create(f->s, &f->me, f->root, "f", &how, RW, &other.node, &other.file, &created));
    LaresAttrs before = attrs_of(f->s, other.node);
    uint64_t told = (uint64_t)(gsize)g_thread_join(g_thread_new("other", write_elsewhere, &other));
    LaresAttrs after = attrs_of(f->s, other.node);
    g_assert_cmpuint(before.size, ==, 0);
    g_assert_cmpuint(told, >, before.change);
    g_assert_cmpuint(after.change, >=, told);
    g_assert_cmpuint(after.size, ==, 4);
    lares_store_moment_end();
    lares_file_unref(other.file);
    lares_node_unref(other.node);
}

/* The kind of a directory's ACL is seen once in a moment; what the thread itself sets counts at once. */
static void
test_moment_and_acl(Fixture *f, gconstpointer data)
{
    LaresNode *dir = must_make(f->s, &f->me, f->root, "d", LARES_TYPE_DIRECTORY, 0755);
    LaresCred stranger = cred_of(f->me.uid + 1, f->me.gid + 1);
    uint32_t allowed;
    lares_store_moment_begin();
    assert_ok(IFACE(f->s)->access(f->s, &stranger, dir, LARES_ACCESS_MODIFY, &allowed));
    g_assert_cmpuint(allowed, ==, 0);
    g_autoptr(LaresAcl) acl = lares_acl_from_mode(0755, TRUE);
    for (uint32_t i = 0; i < acl->n; i++)
        if (acl->ace[i].who == LARES_WHO_EVERYONE)
            acl->ace[i].mask |= LARES_MASK_WRITE_DATA | LARES_MASK_DELETE_CHILD;
    assert_ok(IFACE(f->s)->set_acl(f->s, &f->me, dir, acl));
    assert_ok(IFACE(f->s)->access(f->s, &stranger, dir, LARES_ACCESS_MODIFY, &allowed));
    g_assert_cmpuint(allowed, ==, LARES_ACCESS_MODIFY);
    lares_store_moment_end();
    lares_node_unref(dir);
}

#define ADD(name, func) g_test_add("/store-moments/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

static void
add_tests(void)
{
    ADD("change", test_moment_and_change);
    ADD("acl", test_moment_and_acl);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
