/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call: which verb it is, who calls (the bus knows), whether they may (polkit knows), and the answer.
 *
 * Root and the server's own user may do everything. Everybody else is asked about at polkit, one action per kind of
 * change; without polkit they may nothing. */
#include "dbus.h"

#include <string.h>
#include <unistd.h>

/* What may wait for polkit, all callers together, and how much one call may bring. */
#define MAX_ASKING     64
#define MAX_ARGS       (256 * 1024)
#define POLKIT_SECONDS 120 /* somebody may be typing a password */
#define AGAIN_SECONDS  5

typedef struct {
    BusServer *bus; /* a reference */
    GDBusMethodInvocation *invocation;
    const LaresVerb *verb;
    GVariant *args;
    char *subject;
    gboolean asking;
    gboolean by_polkit; /* polkit said yes */
    gboolean prompted;  /* only after a person had been asked for a password */
} Call;

static void
call_free(Call *call)
{
    if (call->asking)
        call->bus->asking--;
    g_object_unref(call->bus);
    g_variant_unref(call->args);
    g_free(call->subject);
    g_free(call);
}

const char *
bus_annotation(GDBusAnnotationInfo **annotations, const char *name)
{
    return g_dbus_annotation_info_lookup(annotations, name);
}

static void
refuse(Call *call, const GError *error)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {{LARES_ERROR_INVALID, "Invalid"},   {LARES_ERROR_NOT_FOUND, "NotFound"},
                 {LARES_ERROR_EXISTS, "Exists"},     {LARES_ERROR_DENIED, "Denied"},
                 {LARES_ERROR_CONFLICT, "Conflict"}, {LARES_ERROR_UNAVAILABLE, "Unavailable"},
                 {LARES_ERROR_LOGIN, "Denied"}};
    const char *word = "Failed";
    for (guint i = 0; error->domain == LARES_ERROR && i < G_N_ELEMENTS(names); i++)
        if (names[i].code == error->code)
            word = names[i].name;
    g_autofree char *full = g_strconcat(BUS_NAME ".Error.", word, NULL);
    g_dbus_method_invocation_return_dbus_error(call->invocation, full, error->message);
    call_free(call);
}

static void
refuse_text(Call *call, int code, const char *text)
{
    g_autoptr(GError) error = g_error_new_literal(LARES_ERROR, code, text);
    refuse(call, error);
}

/* ---- The answer ------------------------------------------------------------------------------------------------ */

static GVariant *
shaped(const GDBusMethodInfo *method, GVariant *result)
{
    const char *signature = method->out_args && method->out_args[0] ? method->out_args[0]->signature : NULL;
    g_autoptr(GVariant) value = NULL;
    if (!signature)
        return NULL;
    if (result && (g_str_equal(signature, "v") || g_variant_is_of_type(result, G_VARIANT_TYPE(signature))))
        value = g_variant_ref(result);
    else
        value = g_variant_ref_sink(
            g_variant_new_array(G_VARIANT_TYPE(g_str_equal(signature, "aa{sv}") ? "a{sv}" : "{sv}"), NULL, 0));
    if (g_str_equal(signature, "v"))
        return g_variant_new("(v)", value);
    return g_variant_new_tuple((GVariant *const[]){value}, 1);
}

static void
on_done(GVariant *result, GError *error, gpointer user)
{
    Call *call = user;
    if (error) {
        refuse(call, error);
        return;
    }
    g_dbus_method_invocation_return_value(call->invocation,
                                          shaped(g_dbus_method_invocation_get_method_info(call->invocation), result));
    call_free(call);
}

/* ---- polkit ---------------------------------------------------------------------------------------------------- */

static const char *
action_of(const LaresVerb *verb)
{
    static const struct {
        const char *prefix, *action;
    } kinds[] = {{"share.", "manage-shares"},   {"user.", "manage-users"},     {"group.", "manage-users"},
                 {"mapping.", "manage-users"},  {"sid.", "manage-users"},      {"session.", "manage-sessions"},
                 {"module.", "manage-modules"}, {"server.", "manage-modules"}, {"realm.", "manage-realm"},
                 {"token.", "manage-tokens"}};
    /* A read right is enough for tokens of one's own; who is known by an account only has none. */
    gboolean token = g_str_has_prefix(verb->name, "token.");
    if (verb->right == LARES_RIGHT_READ && !token)
        return "view";
    for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_has_prefix(verb->name, kinds[i].prefix))
            return kinds[i].action;
    return "manage-other";
}

/* May a person be asked for a password? */
static gboolean
may_ask_person(Call *call)
{
    GDBusMessage *message = g_dbus_method_invocation_get_message(call->invocation);
    return (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION) != 0;
}

static GVariant *
question(Call *call, gboolean may_ask)
{
    g_autofree char *action = g_strconcat("org.lares.lares1.", action_of(call->verb), NULL);
    GVariantBuilder subject, details;
    g_variant_builder_init(&subject, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&subject, "{sv}", "name",
                          g_variant_new_string(g_dbus_method_invocation_get_sender(call->invocation)));
    g_variant_builder_init(&details, G_VARIANT_TYPE("a{ss}"));
    return g_variant_new("((sa{sv})sa{ss}us)", "system-bus-name", &subject, action, &details, may_ask ? 1u : 0u, "");
}

#define POLKIT                                                                                                         \
    "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority"

/* Another thread, in its turn. Nobody is asked for a password twice; who was let in without one needs no one now. */
static gboolean
may_still(const LaresControlCaller *caller, LaresRight *right)
{
    Call *call = caller->proof;
    GDBusConnection *bus = g_dbus_method_invocation_get_connection(call->invocation);
    GVariant *words = question(call, FALSE);
    gboolean yes = FALSE, challenge = FALSE;
    lares_control_wait_begin();
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_sync(bus, POLKIT, "CheckAuthorization", words, G_VARIANT_TYPE("((bba{ss}))"),
                                    G_DBUS_CALL_FLAGS_NONE, AGAIN_SECONDS * 1000, NULL, NULL);
    lares_control_wait_end();
    if (answer)
        g_variant_get(answer, "((bb@a{ss}))", &yes, &challenge, NULL);
    return yes || (challenge && call->prompted);
}

static void
run(Call *call, LaresRight rights)
{
    LaresControlCaller caller = {.face = "dbus",
                                 .subject = call->subject,
                                 .address = "unix",
                                 .rights = rights,
                                 .ask_again = call->by_polkit ? may_still : NULL,
                                 .proof = call};
    lares_control_call_async(lares_host_control(call->bus->host), &caller, call->verb->name, call->args, NULL, on_done,
                             call);
}

static void ask_polkit(Call *call, gboolean may_ask);

static void
on_polkit(GObject *source, GAsyncResult *result, gpointer user)
{
    Call *call = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    gboolean yes = FALSE, challenge = FALSE;
    if (answer)
        g_variant_get(answer, "((bb@a{ss}))", &yes, &challenge, NULL);
    if (yes) {
        call->by_polkit = TRUE;
        gboolean reads = call->verb->right == LARES_RIGHT_READ && !g_str_has_prefix(call->verb->name, "token.");
        run(call, reads ? LARES_RIGHT_READ : LARES_RIGHT_ADMIN);
        return;
    }
    if (challenge && !call->prompted && may_ask_person(call)) {
        call->prompted = TRUE;
        ask_polkit(call, TRUE);
        return;
    }
    g_autofree char *text = error
                                ? g_strdup_printf("polkit cannot be asked (%s): only root may do this", error->message)
                                : g_strdup_printf("not authorized: %s asks polkit for org.lares.lares1.%s",
                                                  call->verb->name, action_of(call->verb));
    LaresControlCaller caller = {.face = "dbus", .subject = call->subject, .address = "unix"};
    lares_control_refused(lares_host_control(call->bus->host), &caller, call->verb->name, call->args,
                          error ? error->message : "polkit");
    refuse_text(call, LARES_ERROR_DENIED, text);
}

/* First without a person, so that it is known who had to give a password. */
static void
ask_polkit(Call *call, gboolean may_ask)
{
    g_dbus_connection_call(g_dbus_method_invocation_get_connection(call->invocation), POLKIT, "CheckAuthorization",
                           question(call, may_ask), G_VARIANT_TYPE("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE,
                           POLKIT_SECONDS * 1000, call->bus->cancel, on_polkit, call);
}

/* ---- Who calls ------------------------------------------------------------------------------------------------- */

static void
on_uid(GObject *source, GAsyncResult *result, gpointer user)
{
    Call *call = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    guint32 uid;
    if (!answer) {
        refuse_text(call, LARES_ERROR_DENIED, "the bus does not say who calls");
        return;
    }
    g_variant_get(answer, "(u)", &uid);
    call->subject = g_strdup_printf("uid:%u", uid);
    if (uid == 0 || uid == geteuid()) {
        run(call, LARES_RIGHT_ADMIN);
    } else if (call->bus->asking >= MAX_ASKING || g_variant_get_size(call->args) > MAX_ARGS) {
        refuse_text(call, LARES_ERROR_UNAVAILABLE, "too much waits for polkit already");
    } else {
        call->asking = TRUE;
        call->bus->asking++;
        ask_polkit(call, FALSE);
    }
}

/* ---- The call -------------------------------------------------------------------------------------------------- */

/* Arguments by name; a dictionary `values` has the rest of them; the object adds its own name. FALSE: two say the same.
 */
static gboolean
take_args(Call *call, BusThing *thing, const GDBusMethodInfo *method, GVariant *parameters)
{
    g_auto(GVariantDict) dict;
    const char *key = bus_thing_key(thing);
    gboolean clear = TRUE;
    g_variant_dict_init(&dict, NULL);
    for (guint i = 0; method->in_args && method->in_args[i]; i++) {
        g_autoptr(GVariant) value = g_variant_get_child_value(parameters, i);
        GVariantIter iter;
        const char *name;
        GVariant *one;
        if (!g_str_equal(method->in_args[i]->name, "values")) {
            g_variant_dict_insert_value(&dict, method->in_args[i]->name, value);
            continue;
        }
        g_variant_iter_init(&iter, value);
        while (g_variant_iter_next(&iter, "{&sv}", &name, &one)) {
            clear = clear && !g_variant_dict_contains(&dict, name);
            g_variant_dict_insert_value(&dict, name, one);
            g_variant_unref(one);
        }
    }
    if (key) {
        const char *name = bus_annotation(bus_thing_info(thing)->annotations, "org.lares.Key");
        clear = clear && !g_variant_dict_contains(&dict, name);
        g_variant_dict_insert(&dict, name, "s", key);
    }
    call->args = g_variant_ref_sink(g_variant_dict_end(&dict));
    return clear;
}

/* Call(verb, values): the verb's name is an argument. */
static const char *
verb_name(const GDBusMethodInfo *method, GVariant *parameters)
{
    const char *name = bus_annotation(method->annotations, "org.lares.Verb");
    if (!name)
        g_variant_get_child(parameters, 0, "&s", &name);
    return name;
}

void
bus_call(BusServer *bus, BusThing *thing, GDBusMethodInvocation *invocation)
{
    const GDBusMethodInfo *method = g_dbus_method_invocation_get_method_info(invocation);
    GVariant *parameters = g_dbus_method_invocation_get_parameters(invocation);
    const char *name = verb_name(method, parameters);
    Call *call = g_new0(Call, 1);
    call->bus = g_object_ref(bus);
    call->invocation = invocation;
    call->verb = lares_control_find(lares_host_control(bus->host), name);
    gboolean generic = !bus_annotation(method->annotations, "org.lares.Verb");
    gboolean clear = TRUE;
    if (generic)
        call->args = g_variant_get_child_value(parameters, 1);
    else
        clear = take_args(call, thing, method, parameters);
    if (!call->verb) {
        g_autofree char *text = g_strdup_printf("there is no verb \"%s\" (its module may not be loaded)", name);
        refuse_text(call, LARES_ERROR_NOT_FOUND, text);
    } else if (!clear) {
        refuse_text(call, LARES_ERROR_INVALID, "an argument is there twice");
    } else {
        g_dbus_connection_call(g_dbus_method_invocation_get_connection(invocation), "org.freedesktop.DBus",
                               "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
                               g_variant_new("(s)", g_dbus_method_invocation_get_sender(invocation)),
                               G_VARIANT_TYPE("(u)"), G_DBUS_CALL_FLAGS_NONE, -1, bus->cancel, on_uid, call);
    }
}
