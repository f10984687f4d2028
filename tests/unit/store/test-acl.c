/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ACL model against the mode it must agree with, for every mode and many random ACLs. */
#include <lares/acl.h>

#define R LARES_MASK_READ_DATA
#define W (LARES_MASK_WRITE_DATA | LARES_MASK_APPEND_DATA)
#define X LARES_MASK_EXECUTE

static LaresAce
ace(LaresAceType type, LaresWho who, uint32_t flags, uint32_t mask, uint32_t id)
{
    return (LaresAce){.type = (uint8_t)type, .who = (uint8_t)who, .flags = flags, .mask = mask, .id = id};
}

static LaresAcl *
acl_of(const LaresAce *entries, uint32_t n)
{
    LaresAcl *acl = lares_acl_new(n);
    for (uint32_t i = 0; i < n; i++)
        acl->ace[i] = entries[i];
    return acl;
}

static uint32_t
rwx(uint32_t mask)
{
    return (mask & R ? 4u : 0) | ((mask & W) == W ? 2u : 0) | (mask & X ? 1u : 0);
}

/* Owner 10, group 20: what a uid gets from the ACL of a mode is what the kernel gives from the mode. */
static void
test_every_mode(void)
{
    const uint32_t groups[] = {7, 20};
    for (uint32_t mode = 0; mode <= 0777; mode++) {
        for (int directory = 0; directory < 2; directory++) {
            g_autoptr(LaresAcl) acl = lares_acl_from_mode(mode, directory);
            g_assert_cmpuint(lares_acl_to_mode(acl), ==, mode);
            g_assert_cmpuint(rwx(lares_acl_allowed(acl, 10, 20, 10, 20, groups, 2, R | W | X)), ==, mode >> 6);
            g_assert_cmpuint(rwx(lares_acl_allowed(acl, 10, 20, 11, 20, NULL, 0, R | W | X)), ==, mode >> 3 & 7);
            g_assert_cmpuint(rwx(lares_acl_allowed(acl, 10, 20, 11, 99, groups, 2, R | W | X)), ==, mode >> 3 & 7);
            g_assert_cmpuint(rwx(lares_acl_allowed(acl, 10, 20, 11, 99, groups, 1, R | W | X)), ==, mode & 7);
            g_assert_cmpuint(lares_acl_allowed(acl, 10, 20, 11, 99, NULL, 0, LARES_MASK_DELETE_CHILD) != 0, ==,
                             directory && mode & 2);
        }
    }
}

static LaresAcl *
random_acl(GRand *rand)
{
    LaresAcl *acl = lares_acl_new((uint32_t)g_rand_int_range(rand, 0, 12));
    for (uint32_t i = 0; i < acl->n; i++) {
        acl->ace[i] = ace(g_rand_int_range(rand, 0, 4), g_rand_int_range(rand, 0, 4),
                          (uint32_t)g_rand_int_range(rand, 0, 256), g_rand_int(rand) & LARES_MASK_ALL, 0);
        if (acl->ace[i].who == LARES_WHO_ID)
            acl->ace[i].id = g_rand_int(rand);
    }
    return acl;
}

static void
test_chmod_gives_the_mode(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    for (int i = 0; i < 20000; i++) {
        g_autoptr(LaresAcl) acl = random_acl(rand);
        uint32_t mode = (uint32_t)g_rand_int_range(rand, 0, 01000);
        gboolean directory = i & 1;
        g_autoptr(LaresAcl) after = lares_acl_chmod(acl, mode, directory);
        g_assert_cmpuint(lares_acl_to_mode(after), ==, mode);
        g_autoptr(LaresAcl) again = lares_acl_chmod(after, mode, directory);
        g_assert_true(lares_acl_equal(after, again));
        /* the heirs see no difference, except that entries for the object alone went */
        g_autoptr(LaresAcl) heirs = lares_acl_inherit(acl, TRUE);
        g_autoptr(LaresAcl) heirs_after = lares_acl_inherit(after, TRUE);
        if (directory)
            g_assert_true(lares_acl_equal(heirs, heirs_after));
        /* a named one never gets more than the group class by an allowing entry */
        uint32_t named = lares_acl_allowed(after, 1, 2, 0xfffffff0, 0xfffffff1, NULL, 0, R | W | X);
        g_assert_cmpuint(rwx(named) & ~((mode >> 3 & 7) | (mode & 7)), ==, 0);
    }
}

static void
test_bytes(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    for (int i = 0; i < 5000; i++) {
        g_autoptr(LaresAcl) acl = random_acl(rand);
        g_autoptr(GBytes) bytes = lares_acl_serialize(acl);
        gsize len;
        const uint8_t *data = g_bytes_get_data(bytes, &len);
        g_autoptr(LaresAcl) back = lares_acl_parse(data, len);
        g_assert_true(lares_acl_equal(acl, back));
        for (gsize cut = 0; cut < len; cut++) {
            g_autofree uint8_t *part = g_memdup2(data, cut);
            g_autoptr(LaresAcl) none = lares_acl_parse(part, cut);
            g_assert_null(none);
        }
        g_autofree uint8_t *bent = g_memdup2(data, len);
        bent[g_rand_int_range(rand, 0, (int)len)] ^= (uint8_t)g_rand_int_range(rand, 1, 256);
        g_autoptr(LaresAcl) whatever = lares_acl_parse(bent, len);
        g_assert_true(!whatever || whatever->n <= LARES_ACL_MAX);
    }
}

static void
test_order_decides(void)
{
    LaresAce entries[] = {
        ace(LARES_ACE_DENY, LARES_WHO_ID, 0, R, 5), ace(LARES_ACE_ALLOW, LARES_WHO_EVERYONE, 0, R | X, 0),
        ace(LARES_ACE_DENY, LARES_WHO_ID, 0, X, 5), ace(LARES_ACE_ALLOW, LARES_WHO_ID, LARES_ACE_GROUP, W, 50),
        ace(LARES_ACE_ALLOW, LARES_WHO_ID, LARES_ACE_INHERIT_ONLY, W, 5)};
    const uint32_t groups[] = {50};
    g_autoptr(LaresAcl) acl = acl_of(entries, G_N_ELEMENTS(entries));
    g_assert_cmpuint(lares_acl_allowed(acl, 1, 1, 5, 9, NULL, 0, R | W | X), ==, X);
    g_assert_cmpuint(lares_acl_allowed(acl, 1, 1, 6, 9, NULL, 0, R | W | X), ==, R | X);
    g_assert_cmpuint(lares_acl_allowed(acl, 1, 1, 6, 9, groups, 1, R | W | X), ==, R | W | X);
    g_assert_cmpuint(lares_acl_allowed(acl, 1, 1, 50, 9, NULL, 0, W), ==, 0); /* a uid is not a gid */
    g_assert_cmpuint(lares_acl_to_mode(acl), ==, 0555);
}

static void
test_inheritance(void)
{
    const uint32_t both = LARES_ACE_FILE_INHERIT | LARES_ACE_DIRECTORY_INHERIT;
    LaresAce entries[] = {
        ace(LARES_ACE_ALLOW, LARES_WHO_ID, LARES_ACE_FILE_INHERIT, R, 1),
        ace(LARES_ACE_ALLOW, LARES_WHO_ID, LARES_ACE_DIRECTORY_INHERIT | LARES_ACE_INHERIT_ONLY, R, 2),
        ace(LARES_ACE_ALLOW, LARES_WHO_ID, both | LARES_ACE_NO_PROPAGATE_INHERIT, R, 3),
        ace(LARES_ACE_ALLOW, LARES_WHO_ID, LARES_ACE_FILE_INHERIT | LARES_ACE_NO_PROPAGATE_INHERIT, R, 4),
        ace(LARES_ACE_ALLOW, LARES_WHO_EVERYONE, 0, R, 0)};
    g_autoptr(LaresAcl) parent = acl_of(entries, G_N_ELEMENTS(entries));
    g_autoptr(LaresAcl) file = lares_acl_inherit(parent, FALSE);
    LaresAce on_file[] = {ace(LARES_ACE_ALLOW, LARES_WHO_ID, 0, R, 1), ace(LARES_ACE_ALLOW, LARES_WHO_ID, 0, R, 3),
                          ace(LARES_ACE_ALLOW, LARES_WHO_ID, 0, R, 4)};
    g_autoptr(LaresAcl) want_file = acl_of(on_file, 3);
    g_assert_true(lares_acl_equal(file, want_file));
    g_autoptr(LaresAcl) dir = lares_acl_inherit(parent, TRUE);
    LaresAce on_dir[] = {ace(LARES_ACE_ALLOW, LARES_WHO_ID, LARES_ACE_FILE_INHERIT | LARES_ACE_INHERIT_ONLY, R, 1),
                         ace(LARES_ACE_ALLOW, LARES_WHO_ID, LARES_ACE_DIRECTORY_INHERIT, R, 2),
                         ace(LARES_ACE_ALLOW, LARES_WHO_ID, 0, R, 3)};
    g_autoptr(LaresAcl) want_dir = acl_of(on_dir, 3);
    g_assert_true(lares_acl_equal(dir, want_dir));
    g_autoptr(LaresAcl) plain = lares_acl_from_mode(0755, TRUE);
    g_autoptr(LaresAcl) none = lares_acl_inherit(plain, TRUE);
    g_assert_null(none);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acl/every-mode", test_every_mode);
    g_test_add_func("/acl/chmod-gives-the-mode", test_chmod_gives_the_mode);
    g_test_add_func("/acl/bytes", test_bytes);
    g_test_add_func("/acl/order-decides", test_order_decides);
    g_test_add_func("/acl/inheritance", test_inheritance);
    return g_test_run();
}
