/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A person: the directory's user and, where this server has a realm of its own, the principal that gets tickets.
 *
 * The realm is a module's and is asked through its verbs. What takes two steps is undone, or left on the safe side,
 * when the second one fails. Administrators of the realm (NAME/admin) are not persons: their passwords are the realm's
 * business, and another right at polkit.
 *
 * Thread: main; while the realm is asked others may change what is here (lares_control_wait_begin()). */
#include "identity/directory-private.h"

#include <lares/host.h>
#include <string.h>

typedef struct {
    LaresDirectory *d;
    LaresControl *control; /* NULL: nothing but the directory */
    const LaresControlCaller *caller;
    const char *name;
    char *realm;       /* NULL: there is none here */
    gboolean enrolled; /* the realm has a principal of this name, which is this user's */
    char *not_his;     /* why the principal of this name is not this user's; NULL: it is, or would be */
} Person;

static void
person_clear(Person *p)
{
    g_free(p->realm);
    g_free(p->not_his);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Person, person_clear)

static const char *
text_arg(GVariant *args, const char *name)
{
    const char *text = NULL;
    return g_variant_lookup(args, name, "&s", &text) ? text : NULL;
}

static gint64
number_arg(GVariant *args, const char *name)
{
    gint64 number = -1;
    return g_variant_lookup(args, name, "x", &number) ? MAX(number, 0) : -1;
}

/* ---- The realm ------------------------------------------------------------------------------------------------- */

/* One verb of the realm about this person. TRUE: done. */
static gboolean
ask_realm(const Person *p, const char *verb, const char *password, GError **error)
{
    GVariantDict args;
    g_autoptr(GError) local = NULL;
    g_variant_dict_init(&args, NULL);
    g_variant_dict_insert(&args, "name", "s", p->name);
    if (password)
        g_variant_dict_insert(&args, "password", "s", password);
    GVariant *answer = lares_control_call(p->control, p->caller, verb, g_variant_dict_end(&args), &local);
    if (answer)
        g_variant_unref(answer);
    if (!local)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* A mapping, or a list of realms without ours, may make NAME@REALM somebody else. */
static void
find_whose(Person *p)
{
    g_auto(LaresLadder) ladder = {0};
    g_autoptr(LaresIdentity) identity = NULL;
    g_autofree char *principal = g_strdup_printf("%s@%s", p->name, p->realm);
    if (strpbrk(p->name, "/@\\")) {
        p->not_his = g_strdup_printf("the realm has no people of names like \"%s\"", p->name);
        return;
    }
    lares_directory_explain(p->d, principal, &ladder, &identity);
    if (g_strcmp0(ladder.name, p->name) == 0)
        return;
    p->not_his = ladder.pattern
                     ? g_strdup_printf("%s is mapped to %s", principal, ladder.name)
                     : g_strdup_printf("%s is not this server's user of that name (realms in [identity])", principal);
}

/* FALSE: the realm does not answer. */
static gboolean
find_enrolled(Person *p, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (p->not_his)
        return TRUE;
    p->enrolled = ask_realm(p, "realm.user.show", NULL, &local);
    if (!local || g_error_matches(local, LARES_ERROR, LARES_ERROR_NOT_FOUND) ||
        g_error_matches(local, LARES_ERROR, LARES_ERROR_INVALID))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean
person_init(Person *p, LaresDirectory *d, LaresHost *host, const LaresControlCaller *caller, GVariant *args,
            GError **error)
{
    *p = (Person){.d = d, .control = host ? lares_host_control(host) : NULL, .caller = caller};
    p->name = text_arg(args, "name");
    if (!p->control || !lares_control_find(p->control, "realm.user.show"))
        return TRUE;
    g_autoptr(GVariant) status = lares_control_call(p->control, caller, "realm.status", NULL, NULL);
    if (!status || !g_variant_lookup(status, "name", "s", &p->realm))
        return TRUE;
    find_whose(p);
    return find_enrolled(p, error);
}

/* A password can only be kept where there is a place for it. */
static gboolean
need_realm(const Person *p, GError **error)
{
    if (p->realm && !p->not_his)
        return TRUE;
    if (p->realm)
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "%s, so a password here would not be %s's", p->not_his,
                    p->name);
    else
        g_set_error(error, LARES_ERROR, LARES_ERROR_UNAVAILABLE,
                    "a password needs a realm of this server's own (laresctl realm create HOME.LAN); in another realm "
                    "its administrator gives it, and for SMB alone there is \"laresctl user ntlm enable %s\"",
                    p->name);
    return FALSE;
}

static gboolean
check_password(const char *password, GError **error)
{
    if (*password)
        return TRUE;
    g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID, "password: it is empty");
    return FALSE;
}

/* ---- Adding ---------------------------------------------------------------------------------------------------- */

/* Somebody with an account of the host is that account; the directory only gets to know it. */
static gboolean
note_account(LaresDirectory *d, const LaresUserValues *v, const LaresNssEntry *entry, GError **error)
{
    LaresUserCopy copy;
    gboolean known = lares_directory_copy_user(d, v->name, &copy);
    if (known || v->uid >= 0 || v->gid >= 0) {
        g_set_error(error, LARES_ERROR, known ? LARES_ERROR_EXISTS : LARES_ERROR_CONFLICT,
                    known ? "\"%s\" exists already" : "\"%s\" has the numbers that the host gives", v->name);
        return FALSE;
    }
    return lares_directory_note_host_user(d, entry, error) && (!v->full_name || lares_directory_user_set(d, v, error));
}

static gboolean
add_with_password(Person *p, const LaresUserValues *v, const char *password, GError **error)
{
    LaresNssEntry entry;
    g_autoptr(GError) undo = NULL;
    if (!check_password(password, error) || !need_realm(p, error))
        return FALSE;
    if (p->enrolled) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_EXISTS,
                    "%s is in the realm %s already; \"laresctl user passwd %s\" gives another password", p->name,
                    p->realm, p->name);
        return FALSE;
    }
    gboolean account = lares_nss_user_by_name(p->d->nss, v->name, &entry) == LARES_NSS_FOUND &&
                       g_str_equal(entry.name, v->name) && lares_directory_host_uid_allowed(p->d, entry.id);
    if (account ? !note_account(p->d, v, &entry, error) : !lares_directory_user_add(p->d, v, error))
        return FALSE;
    if (ask_realm(p, "realm.user.add", password, error))
        return TRUE;
    if (!lares_directory_user_delete(p->d, v->name, &undo))
        g_prefix_error(error, "%s is in the directory now (%s), but without a password: ", v->name, undo->message);
    return FALSE;
}

GVariant *
lares_verb_user_add(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    g_auto(Person) p = {0};
    const char *password = text_arg(args, "password");
    LaresUserValues v = {text_arg(args, "name"), number_arg(args, "uid"), number_arg(args, "gid"),
                         text_arg(args, "full-name")};
    if (password ? !person_init(&p, d, host, caller, args, error) || !add_with_password(&p, &v, password, error)
                 : !lares_directory_user_add(d, &v, error))
        return NULL;
    return lares_directory_show_user(d, v.name, error);
}

/* ---- The password ---------------------------------------------------------------------------------------------- */

/* Known here, and not switched off: a new principal would get tickets. */
static gboolean
may_enrol(const Person *p, GError **error)
{
    LaresUserCopy copy;
    LaresNssEntry entry;
    gboolean known = lares_directory_copy_user(p->d, p->name, &copy);
    if (known && copy.disabled) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "%s is disabled: \"laresctl user enable %s\" comes first",
                    p->name, p->name);
        return FALSE;
    }
    if (known || (lares_nss_user_by_name(p->d->nss, p->name, &entry) == LARES_NSS_FOUND &&
                  g_str_equal(entry.name, p->name) && lares_directory_host_uid_allowed(p->d, entry.id)))
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND,
                "there is no user \"%s\"; \"laresctl user add %s --password\" makes one", p->name, p->name);
    return FALSE;
}

GVariant *
lares_verb_user_passwd(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_auto(Person) p = {0};
    GVariantDict answer;
    const char *password = text_arg(args, "password");
    if (!check_password(password, error) || !person_init(&p, user, host, caller, args, error) ||
        !need_realm(&p, error) || (!p.enrolled && !may_enrol(&p, error)) ||
        !ask_realm(&p, p.enrolled ? "realm.user.passwd" : "realm.user.add", password, error))
        return NULL;
    g_autofree char *principal = g_strdup_printf("%s@%s", p.name, p.realm);
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "name", "s", p.name);
    g_variant_dict_insert(&answer, "principal", "s", principal);
    g_variant_dict_insert(&answer, "created", "b", !p.enrolled);
    return g_variant_dict_end(&answer);
}

/* ---- Switching off and on -------------------------------------------------------------------------------------- */

/* Off: here first, which refuses them at once whatever becomes of the rest. */
GVariant *
lares_verb_user_disable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                        GError **error)
{
    g_auto(Person) p = {0};
    g_autoptr(GError) local = NULL;
    if (!lares_directory_user_disable(user, text_arg(args, "name"), TRUE, error))
        return NULL;
    if (!person_init(&p, user, host, caller, args, &local) ||
        (p.enrolled && !ask_realm(&p, "realm.user.disable", NULL, &local)))
        g_propagate_prefixed_error(error, g_steal_pointer(&local),
                                   "%s is refused here from now on, but may still get tickets: ", p.name);
    return NULL;
}

/* On: here last. */
GVariant *
lares_verb_user_enable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_auto(Person) p = {0};
    if (person_init(&p, user, host, caller, args, error) &&
        (!p.enrolled || ask_realm(&p, "realm.user.enable", NULL, error)))
        lares_directory_user_disable(user, p.name, FALSE, error);
    return NULL;
}

/* ---- Deleting -------------------------------------------------------------------------------------------------- */

/* The principal goes first: nobody can log in between and be made anew. */
GVariant *
lares_verb_user_delete(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_auto(Person) p = {0};
    LaresUserCopy copy;
    GVariantDict answer;
    gboolean both = FALSE;
    g_variant_lookup(args, "with-principal", "b", &both);
    if (!lares_directory_copy_user(user, text_arg(args, "name"), &copy)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "\"%s\" is not in the directory",
                    text_arg(args, "name"));
        return NULL;
    }
    if (!person_init(&p, user, host, caller, args, error) || (both && !need_realm(&p, error)) ||
        (both && p.enrolled && !ask_realm(&p, "realm.user.remove", NULL, error)))
        return NULL;
    if (!lares_directory_user_delete(user, p.name, error)) {
        if (both && p.enrolled)
            g_prefix_error(error, "%s gets no more tickets, but is still in the directory: ", p.name);
        return NULL;
    }
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "name", "s", p.name);
    g_variant_dict_insert(&answer, "uid", "x", (gint64)copy.uid);
    if (p.enrolled) {
        g_autofree char *principal = g_strdup_printf("%s@%s", p.name, p.realm);
        g_variant_dict_insert(&answer, "principal", "s", principal);
        g_variant_dict_insert(&answer, "principal-removed", "b", both);
    }
    return g_variant_dict_end(&answer);
}
