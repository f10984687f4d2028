/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which people may manage the server: the lists of lares.conf [control]; and whether they still may, when what they
 * asked for had to wait.
 *
 * Thread: main. */
#include "control/control-private.h"

#include "identity/directory.h"

#include <lares/host.h>

const LaresKey lares_control_keys[] = {
    {"admins", LARES_KEY_LIST, NULL, 0, 0,
     "Users, and groups as `@group`, who may change everything once they have logged in (REST, D-Bus)."},
    {"operators", LARES_KEY_LIST, NULL, 0, 0,
     "Users and `@group`s who may look, end sessions and have settings read again."},
    {"readers", LARES_KEY_LIST, NULL, 0, 0, "Users and `@group`s who may look."},
    {"token-lifetime", LARES_KEY_DURATION, "12h", 60, 366 * 86400,
     "How long a bearer token is good when nothing else was asked for; never longer than the ticket it was made with."},
    {"token-max-lifetime", LARES_KEY_DURATION, "366d", 60, 10 * 366 * 86400,
     "The longest that may be asked for (tokens of programs have no ticket)."},
    {NULL}};

static const char *const list_keys[] = {
    [LARES_RIGHT_READ] = "readers", [LARES_RIGHT_OPERATE] = "operators", [LARES_RIGHT_ADMIN] = "admins"};

static gboolean
check_names(const LaresSettings *settings, const char *key, GError **error)
{
    for (const char *const *name = lares_settings_list(settings, key); *name; name++) {
        if (g_str_equal(*name, "@") || g_str_equal(*name, "*")) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG,
                        "[control] %s: \"%s\" names nobody; give user names, or groups as @group", key, *name);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean
lares_control_configure(LaresControl *control, const LaresSettings *settings, GError **error)
{
    for (guint right = 0; right < G_N_ELEMENTS(list_keys); right++)
        if (!check_names(settings, list_keys[right], error))
            return FALSE;
    for (guint right = 0; right < G_N_ELEMENTS(list_keys); right++) {
        g_strfreev(control->by_right[right]);
        control->by_right[right] = g_strdupv((char **)lares_settings_list(settings, list_keys[right]));
    }
    control->token_lifetime = lares_settings_integer(settings, "token-lifetime");
    control->token_max_lifetime = lares_settings_integer(settings, "token-max-lifetime");
    return TRUE;
}

static gboolean
is_member(LaresControl *control, const LaresIdentity *identity, const char *group)
{
    uint32_t gid;
    if (!lares_directory_has_group(lares_host_directory(control->host), group, &gid))
        return FALSE;
    if (identity->gid == gid)
        return TRUE;
    for (uint32_t i = 0; i < identity->n_groups; i++)
        if (identity->groups[i] == gid)
            return TRUE;
    return FALSE;
}

static gboolean
is_named(LaresControl *control, const LaresIdentity *identity, char **names)
{
    for (; names && *names; names++) {
        if ((*names)[0] == '@' ? is_member(control, identity, *names + 1) : g_str_equal(*names, identity->name))
            return TRUE;
    }
    return FALSE;
}

gboolean
lares_control_rights(LaresControl *control, const LaresIdentity *identity, LaresRight *right)
{
    if (!identity->authenticated || identity->anonymous || identity->machine)
        return FALSE;
    for (int r = LARES_RIGHT_ADMIN; r >= LARES_RIGHT_READ; r--) {
        if (is_named(control, identity, control->by_right[r])) {
            *right = (LaresRight)r;
            return TRUE;
        }
    }
    return FALSE;
}

/* ---- Asking again ---------------------------------------------------------------------------------------------- */

/* A ticket is good until it ends, but the person may be disabled, or out of the lists, since it was shown. */
static gboolean
is_still_somebody(LaresControl *control, const LaresIdentity *identity, LaresRight *right)
{
    g_autoptr(LaresIdentity) fresh = NULL;
    return lares_directory_refresh(lares_host_directory(control->host), (LaresIdentity *)identity, &fresh) ==
               LARES_OK &&
           lares_control_rights(control, fresh, right);
}

gboolean
lares_control_ask_again(LaresControl *control, const LaresControlCaller *caller, LaresRight *right, GError **error)
{
    LaresRight now = caller->rights;
    gboolean may = TRUE;
    if (caller->expires && caller->expires <= g_get_real_time() / G_USEC_PER_SEC) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_LOGIN, "the login ended while the request waited");
        return FALSE;
    }
    if (caller->token && !lares_tokens_worth(control->tokens, caller->token, &now)) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_LOGIN,
                            "the bearer token was revoked, or is worth nothing any more, while the request waited");
        return FALSE;
    }
    if (!caller->token && caller->identity)
        may = is_still_somebody(control, caller->identity, &now);
    else if (!caller->token && caller->ask_again)
        may = caller->ask_again(caller, &now);
    *right = MIN(now, caller->rights);
    if (!may)
        g_set_error(error, LARES_ERROR, LARES_ERROR_DENIED,
                    "%s may not manage this server any more: that changed while the request waited", caller->subject);
    return may;
}
