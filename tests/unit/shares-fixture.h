/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shares in a folder of their own; a store type whose stores are empty trees; flavors that nobody checks. */
#pragma once

#include "auth/registry.h"
#include "share/pseudo.h"
#include "share/shares.h"
#include "store/registry.h"

#include <glib/gstdio.h>
#include <string.h>

#define FAKE_TYPE_PROVIDER (fake_provider_get_type())
G_DECLARE_FINAL_TYPE(FakeProvider, fake_provider, FAKE, PROVIDER, GObject)
struct _FakeProvider {
    GObject parent_instance;
};

static const LaresFlavor fake_flavors[] = {{.name = "sys", .rpc_flavor = 1},
                                           {.name = "krb5", .rpc_flavor = 390003},
                                           {.name = "krb5i", .rpc_flavor = 390004},
                                           {.name = "krb5p", .rpc_flavor = 390005}};

static const char *
fake_provider_get_name(LaresAuthProvider *provider)
{
    return "fake";
}

static const LaresFlavor *
fake_provider_get_flavors(LaresAuthProvider *provider, size_t *n)
{
    *n = G_N_ELEMENTS(fake_flavors);
    return fake_flavors;
}

static LaresAuthContext *
fake_provider_accept(LaresAuthProvider *provider, const char *service, const LaresPeer *peer, GError **error)
{
    return NULL;
}

static void
fake_provider_iface_init(LaresAuthProviderInterface *iface)
{
    iface->get_name = fake_provider_get_name;
    iface->get_flavors = fake_provider_get_flavors;
    iface->accept = fake_provider_accept;
}

G_DEFINE_FINAL_TYPE_WITH_CODE(FakeProvider, fake_provider, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_PROVIDER, fake_provider_iface_init))

static void
fake_provider_init(FakeProvider *self)
{
}

static void
fake_provider_class_init(FakeProviderClass *class)
{
}

static gint stores_opened;

static LaresStore *
fake_store_open(LaresHost *host, const char *path, GError **error)
{
    stores_opened++;
    if (strstr(path, "refused")) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "%s: refused", path);
        return NULL;
    }
    return LARES_STORE(lares_pseudo_new());
}

typedef struct {
    char *folder, *file;
    LaresShares *s;
} Fixture;

static inline void
fixture_open(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    f->s = lares_shares_open(f->file, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(lares_shares_open_all(f->s, &error));
}

static inline void
fixture_setup(Fixture *f, gconstpointer data)
{
    if (!lares_flavor_by_name("sys")) {
        g_autoptr(FakeProvider) provider = g_object_new(FAKE_TYPE_PROVIDER, NULL);
        g_assert_true(lares_auth_registry_add(LARES_AUTH_PROVIDER(provider), NULL));
        g_assert_true(lares_store_registry_add("posix", fake_store_open, NULL));
        g_assert_true(lares_store_registry_add("other", fake_store_open, NULL));
    }
    stores_opened = 0;
    f->folder = g_dir_make_tmp("lares-shares-XXXXXX", NULL);
    f->file = g_build_filename(f->folder, "lares.db", NULL);
    fixture_open(f);
}

static inline void
fixture_restart(Fixture *f)
{
    lares_shares_free(f->s);
    fixture_open(f);
}

static inline void
fixture_teardown(Fixture *f, gconstpointer data)
{
    lares_shares_free(f->s);
    g_autoptr(GDir) dir = g_dir_open(f->folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(f->folder, name, NULL);
        g_remove(path);
    }
    g_rmdir(f->folder);
    g_free(f->folder);
    g_free(f->file);
}

/* Runs a verb; `args` is GVariant text with '@' standing for the fixture's folder. */
static inline GVariant *
call(Fixture *f, const char *verb, const char *args, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(args, "@F", -1);
    g_autofree char *text = g_strjoinv(f->folder, parts);
    g_autoptr(GVariant) values = g_variant_ref_sink(g_variant_new_parsed(text));
    for (const LaresVerb *v = lares_shares_verbs; v->name; v++) {
        if (g_str_equal(v->name, verb)) {
            GVariant *result = v->func(NULL, NULL, values, f->s, error);
            return result ? g_variant_ref_sink(result) : NULL;
        }
    }
    g_error("no verb %s", verb);
}

static inline void
must(Fixture *f, const char *verb, const char *args)
{
    g_autoptr(GError) error = NULL;
    GVariant *result = call(f, verb, args, &error);
    g_assert_no_error(error);
    g_clear_pointer(&result, g_variant_unref);
}

static inline void
must_fail(Fixture *f, const char *verb, const char *args, gint code, const char *word)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) result = call(f, verb, args, &error);
    if (!error)
        g_error("%s %s worked", verb, args);
    g_assert_error(error, LARES_ERROR, code);
    if (!strstr(error->message, word))
        g_error("\"%s\" does not say \"%s\"", error->message, word);
    g_assert_null(result);
}

#define test(path, function) g_test_add(path, Fixture, NULL, fixture_setup, function, fixture_teardown)
