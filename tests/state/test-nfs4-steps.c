/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pure steps of NFSv4's state: client ids, the seqids of owners, the slots of a session.
 *
 * Spec: RFC 7530 9.1.7, 16.33.5; RFC 8881 2.10.6.1, 18.35.4 */
#include "nfs4-session-step.h"
#include "nfs4-state-private.h"

/* ---- EXCHANGE_ID and SETCLIENTID ----------------------------------------------------------------------------------
 */

typedef struct {
    const char *what;
    Nfs4ClientFacts facts; /* confirmed, same_principal, same_verifier, has_state, update */
    Nfs4StepAction action;
    uint32_t error;
} ClientCase;

static const ClientCase exchange_cases[] = {
    {"case 1: new", {FALSE, FALSE, FALSE, FALSE, FALSE}, NFS4_STEP_NEW, NFS4_OK},
    {"case 2: same again", {TRUE, TRUE, TRUE, FALSE, FALSE}, NFS4_STEP_EXISTING, NFS4_OK},
    {"case 2: same again with state", {TRUE, TRUE, TRUE, TRUE, FALSE}, NFS4_STEP_EXISTING, NFS4_OK},
    {"case 3: in use", {TRUE, FALSE, FALSE, TRUE, FALSE}, NFS4_STEP_ERROR, NFS4ERR_CLID_INUSE},
    {"case 3: in use, same verifier", {TRUE, FALSE, TRUE, TRUE, FALSE}, NFS4_STEP_ERROR, NFS4ERR_CLID_INUSE},
    {"case 3: not in use", {TRUE, FALSE, FALSE, FALSE, FALSE}, NFS4_STEP_REPLACE, NFS4_OK},
    {"case 5: restarted", {TRUE, TRUE, FALSE, TRUE, FALSE}, NFS4_STEP_NEW, NFS4_OK},
    {"case 5: restarted, empty", {TRUE, TRUE, FALSE, FALSE, FALSE}, NFS4_STEP_NEW, NFS4_OK},
    {"case 6: update", {TRUE, TRUE, TRUE, TRUE, TRUE}, NFS4_STEP_UPDATE, NFS4_OK},
    {"case 7: nothing to update", {FALSE, FALSE, FALSE, FALSE, TRUE}, NFS4_STEP_ERROR, NFS4ERR_NOENT},
    {"case 8: update of another incarnation", {TRUE, TRUE, FALSE, TRUE, TRUE}, NFS4_STEP_ERROR, NFS4ERR_NOT_SAME},
    {"case 9: update by another", {TRUE, FALSE, TRUE, FALSE, TRUE}, NFS4_STEP_ERROR, NFS4ERR_PERM},
    {"case 9: update by another, other verifier", {TRUE, FALSE, FALSE, TRUE, TRUE}, NFS4_STEP_ERROR, NFS4ERR_PERM},
};

static const ClientCase setclientid_cases[] = {
    {"new", {FALSE, FALSE, FALSE, FALSE, FALSE}, NFS4_STEP_NEW, NFS4_OK},
    {"same again", {TRUE, TRUE, TRUE, TRUE, FALSE}, NFS4_STEP_UPDATE, NFS4_OK},
    {"restarted", {TRUE, TRUE, FALSE, TRUE, FALSE}, NFS4_STEP_NEW, NFS4_OK},
    {"in use", {TRUE, FALSE, TRUE, TRUE, FALSE}, NFS4_STEP_ERROR, NFS4ERR_CLID_INUSE},
    {"not in use any more", {TRUE, FALSE, FALSE, FALSE, FALSE}, NFS4_STEP_REPLACE, NFS4_OK},
};

static void
run_client_cases(const ClientCase *cases, size_t n, Nfs4StepAction (*step)(const Nfs4ClientFacts *, uint32_t *))
{
    for (size_t i = 0; i < n; i++) {
        uint32_t error = 12345;
        g_test_message("%s", cases[i].what);
        g_assert_cmpint(step(&cases[i].facts, &error), ==, cases[i].action);
        g_assert_cmpuint(error, ==, cases[i].error);
    }
}

static void
test_exchange_id(void)
{
    run_client_cases(exchange_cases, G_N_ELEMENTS(exchange_cases), nfs4_step_exchange_id);
}

static void
test_setclientid(void)
{
    run_client_cases(setclientid_cases, G_N_ELEMENTS(setclientid_cases), nfs4_step_setclientid);
}

/* All 32 combinations of facts: what must never happen, whatever the table says. */
static void
test_client_invariants(void)
{
    for (unsigned bits = 0; bits < 32; bits++) {
        Nfs4ClientFacts f = {bits & 1, bits & 2, bits & 4, bits & 8, bits & 16};
        uint32_t error;
        Nfs4StepAction action = nfs4_step_exchange_id(&f, &error);
        g_assert_true((action == NFS4_STEP_ERROR) == (error != NFS4_OK));
        if (action == NFS4_STEP_EXISTING || action == NFS4_STEP_UPDATE) /* a record is shown to its owner only */
            g_assert_true(f.confirmed && f.same_principal && f.same_verifier);
        if (action == NFS4_STEP_REPLACE) /* nobody loses state to another principal */
            g_assert_true(f.confirmed && !f.same_principal && !f.has_state);
        if (f.update)
            g_assert_true(action == NFS4_STEP_UPDATE || action == NFS4_STEP_ERROR);
        action = nfs4_step_setclientid(&f, &error);
        g_assert_true((action == NFS4_STEP_ERROR) == (error != NFS4_OK));
        if (action == NFS4_STEP_REPLACE)
            g_assert_true(f.confirmed && !f.same_principal && !f.has_state);
        if (action == NFS4_STEP_UPDATE)
            g_assert_true(f.confirmed && f.same_principal && f.same_verifier);
    }
}

/* ---- Seqids of owners ---------------------------------------------------------------------------------------------
 */

static void
test_seqid(void)
{
    static const struct {
        gboolean used;
        uint32_t last, seqid;
        Nfs4SeqStep step;
    } cases[] = {
        {FALSE, 0, 0, NFS4_SEQ_NEXT},         {FALSE, 0, 77, NFS4_SEQ_NEXT}, /* an owner begins where it likes */
        {FALSE, 77, 77, NFS4_SEQ_NEXT},       {TRUE, 0, 1, NFS4_SEQ_NEXT},
        {TRUE, 0, 0, NFS4_SEQ_REPLAY},        {TRUE, 5, 6, NFS4_SEQ_NEXT},
        {TRUE, 5, 5, NFS4_SEQ_REPLAY},        {TRUE, 5, 4, NFS4_SEQ_BAD},
        {TRUE, 5, 7, NFS4_SEQ_BAD},           {TRUE, 5, 0, NFS4_SEQ_BAD},
        {TRUE, UINT32_MAX, 0, NFS4_SEQ_NEXT}, /* after the largest comes 0: RFC 7530 9.1.7 */
        {TRUE, UINT32_MAX, 1, NFS4_SEQ_BAD},  {TRUE, UINT32_MAX, UINT32_MAX, NFS4_SEQ_REPLAY},
        {TRUE, 0, UINT32_MAX, NFS4_SEQ_BAD},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(nfs4_step_seqid(cases[i].used, cases[i].last, cases[i].seqid), ==, cases[i].step);
}

/* ---- Slots --------------------------------------------------------------------------------------------------------
 */

static void
test_slot(void)
{
    static const struct {
        gboolean busy;
        uint32_t last, seqid;
        Nfs4SlotStep step;
    } cases[] = {
        {FALSE, 0, 1, NFS4_SLOT_RUN},          {FALSE, 0, 2, NFS4_SLOT_MISORDERED},
        {FALSE, 7, 8, NFS4_SLOT_RUN},          {FALSE, 7, 7, NFS4_SLOT_RETRY},
        {FALSE, 7, 6, NFS4_SLOT_MISORDERED},   {FALSE, 7, 9, NFS4_SLOT_MISORDERED},
        {FALSE, UINT32_MAX, 0, NFS4_SLOT_RUN}, {FALSE, UINT32_MAX, 1, NFS4_SLOT_MISORDERED},
        {TRUE, 7, 7, NFS4_SLOT_BUSY}, /* the first one still runs */
        {TRUE, 7, 8, NFS4_SLOT_MISORDERED},    {TRUE, 7, 6, NFS4_SLOT_MISORDERED},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        g_assert_cmpint(nfs4_slot_step(cases[i].busy, cases[i].last, cases[i].seqid), ==, cases[i].step);
}

/* A slot as a client with a bad line drives it: each request runs once, whatever is repeated. */
static void
test_slot_exactly_once(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(4711);
    uint32_t last = UINT32_MAX - 50, next = last + 1, runs = 0, wanted = 0;
    for (int i = 0; i < 10000; i++) {
        uint32_t seqid = next - (uint32_t)g_rand_int_range(rand, 0, 4);
        Nfs4SlotStep step = nfs4_slot_step(FALSE, last, seqid);
        if (seqid == next) {
            g_assert_cmpint(step, ==, NFS4_SLOT_RUN);
            last = seqid;
            next++;
            wanted++;
        }
        runs += step == NFS4_SLOT_RUN;
    }
    g_assert_cmpuint(runs, ==, wanted);
}

/* ---- Digest of a request ------------------------------------------------------------------------------------------
 */

static void
test_digest(void)
{
    uint8_t bytes[600];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    uint64_t whole = nfs4_digest(1, bytes, 100);
    g_assert_cmpuint(nfs4_digest(1, bytes, 100), ==, whole);
    g_assert_cmpuint(nfs4_digest(2, bytes, 100), !=, whole); /* another principal or number of operations */
    g_assert_cmpuint(nfs4_digest(1, bytes, 99), !=, whole);
    for (size_t i = 0; i < 100; i++) {
        bytes[i] ^= 1;
        g_assert_cmpuint(nfs4_digest(1, bytes, 100), !=, whole);
        bytes[i] ^= 1;
    }
    whole = nfs4_digest(1, bytes, sizeof bytes);
    bytes[500] ^= 1; /* beyond what is looked at: the data of a WRITE */
    g_assert_cmpuint(nfs4_digest(1, bytes, sizeof bytes), ==, whole);
    g_assert_cmpuint(nfs4_digest(1, bytes, sizeof bytes - 1), !=, whole);
    nfs4_digest(0, NULL, 0);
}

/* Numbers that are given out: each once, told apart from those that were not given yet, and no neighbours. */
static void
test_hidden_numbers(void)
{
    const uint64_t key = UINT64_C(0x0123456789abcdef);
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    guint near = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t hidden = nfs4_number_hide(key, i);
        g_assert_cmpuint(nfs4_number_show(key, hidden), ==, i);
        g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(hidden)));
        near += hidden - nfs4_number_hide(key, i + 1) + 1000 < 2000;
    }
    g_assert_cmpuint(near, <, 10);
    g_assert_cmpuint(nfs4_number_show(key, nfs4_number_hide(key, UINT32_MAX)), ==, UINT32_MAX);
    g_assert_cmpuint(nfs4_number_hide(key, 1), !=, nfs4_number_hide(key + 1, 1));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nfs4/step/exchange-id", test_exchange_id);
    g_test_add_func("/nfs4/step/setclientid", test_setclientid);
    g_test_add_func("/nfs4/step/client-invariants", test_client_invariants);
    g_test_add_func("/nfs4/step/seqid", test_seqid);
    g_test_add_func("/nfs4/step/slot", test_slot);
    g_test_add_func("/nfs4/step/slot-exactly-once", test_slot_exactly_once);
    g_test_add_func("/nfs4/step/digest", test_digest);
    g_test_add_func("/nfs4-steps/hidden-numbers", test_hidden_numbers);
    return g_test_run();
}
