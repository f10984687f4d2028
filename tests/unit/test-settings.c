/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Settings: every type, every refusal, and what the message says. */
#include <lares/settings.h>

static const LaresKey keys[] = {
    {"name", LARES_KEY_STRING, NULL, 0, 0, ""},
    {"folder", LARES_KEY_PATH, "/srv", 0, 0, ""},
    {"wanted", LARES_KEY_BOOLEAN, "true", 0, 0, ""},
    {"count", LARES_KEY_INTEGER, "4", 1, 64, ""},
    {"lifetime", LARES_KEY_DURATION, "8h", 60, 604800, ""},
    {"limit", LARES_KEY_SIZE, "1M", 0, 0, ""},
    {"hosts", LARES_KEY_LIST, "a, b ,,c", 0, 0, ""},
    {NULL},
};

static LaresSettings *
read_text(const char *text, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) local = NULL;
    g_assert_true(g_key_file_load_from_data(file, text, (gsize)-1, G_KEY_FILE_NONE, &local));
    return lares_settings_new(file, "settings", keys, "test.module", error);
}

static void
test_defaults(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LaresSettings) s = lares_settings_new(NULL, "settings", keys, "none", &error);
    g_assert_no_error(error);
    g_assert_null(lares_settings_string(s, "name"));
    g_assert_cmpstr(lares_settings_string(s, "folder"), ==, "/srv");
    g_assert_true(lares_settings_boolean(s, "wanted"));
    g_assert_cmpint(lares_settings_integer(s, "count"), ==, 4);
    g_assert_cmpint(lares_settings_integer(s, "lifetime"), ==, 8 * 3600);
    g_assert_cmpint(lares_settings_integer(s, "limit"), ==, 1 << 20);
    const char *const *list = lares_settings_list(s, "hosts");
    g_assert_cmpstr(list[0], ==, "a");
    g_assert_cmpstr(list[1], ==, "b");
    g_assert_cmpstr(list[2], ==, "c");
    g_assert_null(list[3]);
}

static void
test_values(void)
{
    static const struct {
        const char *text, *key;
        gint64 number;
    } table[] = {
        {"count=64", "count", 64},
        {"lifetime=90", "lifetime", 90},
        {"lifetime=90s", "lifetime", 90},
        {"lifetime=5m", "lifetime", 300},
        {"lifetime=7d", "lifetime", 604800},
        {"limit=64", "limit", 64},
        {"limit=64K", "limit", 65536},
        {"limit=2G", "limit", (gint64)2 << 30},
        {"limit=1T", "limit", (gint64)1 << 40},
        {"wanted=no", "wanted", 0},
        {"wanted=yes", "wanted", 1},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strdup_printf("[settings]\n%s\n", table[i].text);
        g_autoptr(LaresSettings) s = read_text(text, &error);
        g_assert_no_error(error);
        g_assert_cmpint(lares_settings_integer(s, table[i].key), ==, table[i].number);
    }
}

static void
test_refusals(void)
{
    static const struct {
        const char *text, *says;
    } table[] = {
        {"cuont=3", "did you mean \"count\"?"},
        {"zzzzzzzzzzzz=3", "valid are: name, folder"},
        {"count=0", "count = 0: must be between 1 and 64"},
        {"count=65", "between 1 and 64"},
        {"count=4x", "a whole number"},
        {"count=", "a whole number"},
        {"count=99999999999999999999", "a whole number"},
        {"lifetime=1", "between 60 and 604800 seconds"},
        {"lifetime=5 minutes", "a duration like 90s"},
        {"lifetime=5x", "a duration like 90s"},
        {"limit=-1", "not negative"},
        {"limit=9999999999999G", "a size like 64K"},
        {"limit=1KB", "a size like 64K"},
        {"folder=srv", "an absolute path"},
        {"wanted=maybe", "true or false"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strdup_printf("[settings]\n%s\n", table[i].text);
        g_assert_null(read_text(text, &error));
        g_assert_error(error, LARES_ERROR, LARES_ERROR_CONFIG);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, table[i].says));
        g_assert_true(g_str_has_prefix(error->message, "test.module: [settings]"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/settings/defaults", test_defaults);
    g_test_add_func("/settings/values", test_values);
    g_test_add_func("/settings/refusals", test_refusals);
    return g_test_run();
}
