/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How often the same peer's refusals are written: what anybody can repeat must not fill a disk. What was left out is
 * told in the next line of that peer that is written.
 *
 * Thread: any. Locks: its own. */
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define LINES     20u /* of one peer in one window: enough to see what is tried, and by whom */
#define WINDOW    ((gint64)10 * G_USEC_PER_SEC)
#define PEERS_MAX 1024u /* remembered; all others share one account */

typedef struct {
    char who[64];
    gint64 since;
    guint written, left_out;
} Account;

static GMutex lock;
static GHashTable *accounts; /* who -> Account, which holds the key */
static Account others;

/* lock held */
static gboolean
is_over(gpointer key, gpointer value, gpointer now)
{
    const Account *account = value;
    if (*(gint64 *)now - account->since < WINDOW)
        return FALSE;
    others.left_out += account->left_out;
    return TRUE;
}

/* lock held */
static Account *
account_of(const char *who, gint64 now)
{
    if (!accounts)
        accounts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    Account *account = g_hash_table_lookup(accounts, who);
    if (account)
        return account;
    /* A look through all of them at most once per window. */
    static gint64 cleaned;
    if (g_hash_table_size(accounts) >= PEERS_MAX && now - cleaned >= WINDOW) {
        g_hash_table_foreach_remove(accounts, is_over, &now);
        cleaned = now;
    }
    if (g_hash_table_size(accounts) >= PEERS_MAX)
        return &others;
    account = g_new0(Account, 1);
    g_strlcpy(account->who, who, sizeof account->who);
    account->since = now;
    g_hash_table_insert(accounts, account->who, account);
    return account;
}

gboolean
lares_audit_limit_at(const char *who, gint64 now, char left_out[LARES_AUDIT_LEFT_OUT])
{
    char key[sizeof((Account *)0)->who];
    g_strlcpy(key, who, sizeof key);
    left_out[0] = '\0';
    g_mutex_lock(&lock);
    Account *account = account_of(key, now);
    if (now - account->since >= WINDOW) {
        account->since = now;
        account->written = 0;
    }
    gboolean pass = account->written < LINES;
    if (!pass) {
        account->left_out++;
    } else {
        account->written++;
        if (account->left_out)
            g_snprintf(left_out, LARES_AUDIT_LEFT_OUT, "%u", account->left_out);
        account->left_out = 0;
    }
    g_mutex_unlock(&lock);
    return pass;
}

gboolean
lares_audit_limit(const char *who, char left_out[LARES_AUDIT_LEFT_OUT])
{
    return lares_audit_limit_at(who, g_get_monotonic_time(), left_out);
}
