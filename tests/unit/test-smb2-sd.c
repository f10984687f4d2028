/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Security descriptors and SIDs: golden bytes, both ways, and what must be refused. */
#include "smb2-sd.h"

static const Smb2Domain domain = {{1, 2, 3}};

static void
test_sids(void)
{
    char text[192];
    uint32_t id;
    gboolean group;
    Smb2Sid sid = smb2_sid_of_uid(&domain, 500);
    lares_sid_print(&sid, text, sizeof text);
    g_assert_cmpstr(text, ==, "S-1-5-21-1-2-3-2000");
    g_assert_true(smb2_sid_to_id(&domain, &sid, &id, &group) && id == 500 && !group);
    sid = smb2_sid_of_gid(&domain, 100);
    g_assert_true(smb2_sid_to_id(&domain, &sid, &id, &group) && id == 100 && group);
    sid = smb2_sid_of_uid(&domain, UINT32_MAX - 1);
    lares_sid_print(&sid, text, sizeof text);
    g_assert_cmpstr(text, ==, "S-1-22-1-4294967294");
    g_assert_true(smb2_sid_to_id(&domain, &sid, &id, &group) && id == UINT32_MAX - 1 && !group);
    /* Another machine's users are nobody here. */
    Smb2Domain other = {{1, 2, 4}};
    sid = smb2_sid_of_uid(&other, 500);
    g_assert_false(smb2_sid_to_id(&domain, &sid, &id, &group));
    sid = (Smb2Sid){2, 22, {1, UINT32_MAX}};
    g_assert_false(smb2_sid_to_id(&domain, &sid, &id, &group));
}

/* Everyone may read: [MS-DTYP] 2.4.6 by hand. */
static const uint8_t everyone_reads[] = {
    1, 0, 0x04, 0x80, 0,    0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, /* header */
    2, 0, 28,   0,    1,    0, 0,    0,                                      /* ACL */
    0, 0, 20,   0,    0x89, 0, 0x12, 0,                                      /* ACE */
    1, 1, 0,    0,    0,    0, 0,    1, 0, 0, 0, 0,
};

static void
test_golden(void)
{
    Smb2Descriptor sd;
    uint8_t buf[256];
    g_assert_true(smb2_descriptor_parse(everyone_reads, sizeof everyone_reads, &sd));
    g_autoptr(LaresAcl) acl = smb2_descriptor_acl(&sd, &domain, 1, 2);
    g_assert_cmpuint(acl->n, ==, 1);
    g_assert_cmpuint(acl->ace[0].who, ==, LARES_WHO_EVERYONE);
    g_assert_cmphex(acl->ace[0].mask, ==, 0x120089);
    LaresWriter w = {.base = buf, .cap = sizeof buf, .limit = sizeof buf};
    smb2_put_descriptor(&w, &domain, SMB2_DACL_INFORMATION, 0, NULL, NULL, NULL, 0, acl, 1, 2);
    g_assert_cmpmem(buf, w.len, everyone_reads, sizeof everyone_reads);
    /* Revisions of the list: 2 and 4 of [MS-DTYP] 2.4.5, 3 of smbcacls. */
    for (uint8_t revision = 0; revision < 8; revision++) {
        memcpy(buf, everyone_reads, sizeof everyone_reads);
        buf[20] = revision;
        g_assert_true(smb2_descriptor_parse(buf, sizeof everyone_reads, &sd) == (revision >= 2 && revision <= 4));
    }
}

/* Owner, heirs and named ones come back as they were. */
static void
test_round_trip(void)
{
    uint8_t buf[1024];
    g_autoptr(LaresAcl) acl = lares_acl_new(5);
    acl->ace[0] = (LaresAce){LARES_ACE_DENY, LARES_WHO_ID, LARES_ACE_INHERITED, 2, 77};
    acl->ace[1] = (LaresAce){LARES_ACE_ALLOW, LARES_WHO_OWNER, 0, 0x1f01ff, 0};
    acl->ace[2] = (LaresAce){LARES_ACE_ALLOW, LARES_WHO_OWNER, LARES_ACE_FILE_INHERIT | LARES_ACE_INHERIT_ONLY, 1, 0};
    acl->ace[3] = (LaresAce){LARES_ACE_ALLOW, LARES_WHO_ID, LARES_ACE_GROUP | LARES_ACE_DIRECTORY_INHERIT, 5, 99};
    acl->ace[4] = (LaresAce){LARES_ACE_ALLOW, LARES_WHO_EVERYONE, 0, 0x120080, 0};
    Smb2Sid owner = smb2_sid_of_uid(&domain, 10), group = smb2_sid_of_gid(&domain, 20);
    LaresWriter w = {.base = buf, .cap = sizeof buf, .limit = sizeof buf};
    smb2_put_descriptor(&w, &domain, 7, 0, &owner, &group, NULL, 0, acl, 10, 20);
    Smb2Descriptor sd;
    g_assert_true(smb2_descriptor_parse(buf, w.len, &sd));
    g_assert_true(lares_sid_equal(&sd.owner, &owner) && lares_sid_equal(&sd.group, &group));
    g_autoptr(LaresAcl) back = smb2_descriptor_acl(&sd, &domain, 10, 20);
    g_assert_true(lares_acl_equal(acl, back));
}

/* Cut short or bent, nothing is read beyond the end, and nobody is let in. */
static void
test_refused(void)
{
    Smb2Descriptor sd;
    for (size_t n = 0; n < sizeof everyone_reads; n++) {
        g_autofree uint8_t *cut = g_memdup2(everyone_reads, n);
        g_assert_false(smb2_descriptor_parse(cut, n, &sd));
    }
    uint8_t bent[sizeof everyone_reads];
    memcpy(bent, everyone_reads, sizeof bent);
    bent[30] = 2; /* an entry smaller than its head */
    g_assert_false(smb2_descriptor_parse(bent, sizeof bent, &sd));
    memcpy(bent, everyone_reads, sizeof bent);
    bent[16] = 200; /* a list outside */
    g_assert_false(smb2_descriptor_parse(bent, sizeof bent, &sd));
    memcpy(bent, everyone_reads, sizeof bent);
    bent[37] = 16; /* more sub-authorities than there may be */
    g_assert_false(smb2_descriptor_parse(bent, sizeof bent, &sd));
    /* An entry for somebody unknown gives nobody anything. */
    memcpy(bent, everyone_reads, sizeof bent);
    bent[43] = 9;
    g_assert_true(smb2_descriptor_parse(bent, sizeof bent, &sd));
    g_autoptr(LaresAcl) acl = smb2_descriptor_acl(&sd, &domain, 1, 2);
    g_assert_cmpuint(acl->n, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/smb2-sd/sids", test_sids);
    g_test_add_func("/smb2-sd/golden", test_golden);
    g_test_add_func("/smb2-sd/round-trip", test_round_trip);
    g_test_add_func("/smb2-sd/refused", test_refused);
    return g_test_run();
}
