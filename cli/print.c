/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers for people: aligned tables, blocks of "key: value", nothing cut off. */
#include "ctl.h"

#include <glib/gi18n.h>
#include <string.h>

int
ctl_width(const char *text)
{
    int width = 0;
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        if (!g_unichar_iszerowidth(c))
            width += g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

/* Names come from clients too. */
char *
ctl_printable(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_new(NULL);
    for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);
        g_string_append_unichar(out, g_unichar_iscntrl(c) ? '?' : c);
    }
    return g_string_free(out, FALSE);
}

/* ---- Values ---------------------------------------------------------------------------------------------------- */

static char *
duration_text(gint64 seconds)
{
    gint64 days = seconds / 86400, hours = seconds / 3600 % 24, minutes = seconds / 60 % 60;
    if (days > 0)
        return g_strdup_printf(_("%d d %d h"), (int)days, (int)hours);
    if (hours > 0)
        return g_strdup_printf(_("%d h %d min"), (int)hours, (int)minutes);
    if (minutes > 0)
        return g_strdup_printf(_("%d min %d s"), (int)minutes, (int)(seconds % 60));
    return g_strdup_printf(_("%d s"), (int)seconds);
}

static char *
time_text(gint64 seconds)
{
    g_autoptr(GDateTime) when = seconds > 0 ? g_date_time_new_from_unix_local(seconds) : NULL;
    return when ? g_date_time_format(when, "%Y-%m-%d %H:%M") : g_strdup("-");
}

static char *value_text(JsonNode *node, CtlFormat format);

static char *
list_text(JsonArray *array, CtlFormat format)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        g_autofree char *one = value_text(json_array_get_element(array, i), CTL_AS_IS);
        g_string_append_printf(text, "%s%s", i ? ", " : "", one);
    }
    if (!text->len)
        g_string_append(text, format == CTL_OR_ALL ? _("all") : "-");
    return g_string_free(text, FALSE);
}

/* "ports 2049, connections 3" */
static char *
object_text(JsonObject *object)
{
    GString *text = g_string_new(NULL);
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &name, &node)) {
        g_autofree char *one = value_text(node, CTL_AS_IS);
        g_string_append_printf(text, "%s%s %s", text->len ? ", " : "", name, one);
    }
    return g_string_free(text, FALSE);
}

static char *
number_text(gint64 number, CtlFormat format)
{
    switch (format) {
    case CTL_AS_TIME:
        return time_text(number);
    case CTL_AS_DURATION:
        return duration_text(number);
    case CTL_AS_SIZE:
        return g_format_size_full((guint64)number, G_FORMAT_SIZE_IEC_UNITS);
    default:
        return g_strdup_printf("%" G_GINT64_FORMAT, number);
    }
}

/* New; never NULL. */
static char *
value_text(JsonNode *node, CtlFormat format)
{
    if (!node || JSON_NODE_HOLDS_NULL(node))
        return g_strdup("-");
    if (JSON_NODE_HOLDS_ARRAY(node))
        return list_text(json_node_get_array(node), format);
    if (JSON_NODE_HOLDS_OBJECT(node))
        return object_text(json_node_get_object(node));
    GType type = json_node_get_value_type(node);
    if (type == G_TYPE_BOOLEAN)
        return g_strdup(json_node_get_boolean(node) ? _("yes") : _("no"));
    if (type == G_TYPE_INT64)
        return number_text(json_node_get_int(node), format);
    if (type == G_TYPE_DOUBLE)
        return g_strdup_printf("%g", json_node_get_double(node));
    const char *text = json_node_get_string(node);
    return text && text[0] ? ctl_printable(text) : g_strdup("-");
}

static gboolean
is_number(JsonNode *node, CtlFormat format)
{
    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64 &&
           format != CTL_AS_TIME;
}

/* An array of objects is a table of its own. */
static gboolean
is_table(JsonNode *node)
{
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    return array && json_array_get_length(array) > 0 && JSON_NODE_HOLDS_OBJECT(json_array_get_element(array, 0));
}

static void
pad(const char *text, int width, gboolean right, gboolean last)
{
    int blanks = width - ctl_width(text);
    if (right)
        g_print("%*s%s", blanks > 0 ? blanks : 0, "", text);
    else
        g_print("%s%*s", text, last || blanks < 0 ? 0 : blanks, "");
}

/* ---- Tables ---------------------------------------------------------------------------------------------------- */

static const CtlField *
find_field(const CtlField *fields, const char *key)
{
    for (; fields && fields->key; fields++)
        if (g_str_equal(fields->key, key))
            return fields;
    return NULL;
}

/* The columns of rows nobody described: every key, in order of appearance. */
static GArray *
guess_fields(JsonArray *rows)
{
    GArray *fields = g_array_new(TRUE, TRUE, sizeof(CtlField));
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        JsonObjectIter iter;
        const char *name;
        json_object_iter_init_ordered(&iter, json_array_get_object_element(rows, i));
        while (json_object_iter_next_ordered(&iter, &name, NULL)) {
            CtlField field = {name, name, CTL_AS_IS, NULL};
            if (!find_field((const CtlField *)(gpointer)fields->data, name))
                g_array_append_val(fields, field);
        }
    }
    return fields;
}

static void
print_column_heads(const CtlField *fields, const int *width, const gboolean *right, guint n)
{
    for (guint c = 0; c < n; c++) {
        g_autofree char *head = g_utf8_strup(_(fields[c].title), -1);
        pad(head, width[c], right[c], c + 1 == n);
        g_print("%s", c + 1 == n ? "\n" : "  ");
    }
}

void
ctl_print_table(JsonArray *rows, const CtlField *fields)
{
    g_autoptr(GArray) guessed = fields ? NULL : guess_fields(rows);
    const CtlField *f = fields ? fields : (const CtlField *)(gpointer)guessed->data;
    guint n = 0, n_rows = json_array_get_length(rows);
    while (f && f[n].key)
        n++;
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    g_autofree int *width = g_new0(int, n + 1);
    g_autofree gboolean *right = g_new0(gboolean, n + 1);
    for (guint c = 0; c < n; c++) {
        g_autofree char *head = g_utf8_strup(_(f[c].title), -1);
        width[c] = ctl_width(head);
        right[c] = n_rows > 0;
    }
    for (guint r = 0; r < n_rows; r++) {
        JsonObject *row = json_array_get_object_element(rows, r);
        for (guint c = 0; c < n; c++) {
            JsonNode *node = json_object_get_member(row, f[c].key);
            char *text = value_text(node, f[c].format);
            width[c] = MAX(width[c], ctl_width(text));
            right[c] = right[c] && is_number(node, f[c].format);
            g_ptr_array_add(cells, text);
        }
    }
    print_column_heads(f, width, right, n);
    for (guint i = 0; i < cells->len; i++) {
        guint c = i % n;
        pad(cells->pdata[i], width[c], right[c], c + 1 == n);
        g_print("%s", c + 1 == n ? "\n" : "  ");
    }
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *key;
    const char *title;
    CtlFormat format;
    JsonNode *node;
    const CtlField *rows;
} Line;

static void
add_line(GArray *lines, const CtlField *field, JsonNode *node)
{
    Line line = {field->key, _(field->title), field->format, node, field->rows};
    if (node && !g_str_equal(field->key, "warnings"))
        g_array_append_val(lines, line);
}

static void
print_subtable(const Line *line)
{
    g_print("\n%s:\n", line->title);
    ctl_print_table(json_node_get_array(line->node), line->rows);
}

/* A list of whole sentences reads better one below the other. */
static void
print_lines_below(const Line *line)
{
    JsonArray *array = json_node_get_array(line->node);
    g_print("\n%s:\n", line->title);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        g_autofree char *text = value_text(json_array_get_element(array, i), CTL_AS_IS);
        g_print("  %s\n", text);
    }
}

static gboolean
is_sentences(const Line *line)
{
    return g_str_equal(line->key, "problems") && JSON_NODE_HOLDS_ARRAY(line->node) &&
           json_array_get_length(json_node_get_array(line->node)) > 0;
}

void
ctl_print_block(JsonObject *object, const CtlField *fields)
{
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(Line));
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;
    int width = 0;
    for (const CtlField *f = fields; f && f->key; f++)
        add_line(lines, f, json_object_get_member(object, f->key));
    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &name, &node)) {
        const CtlField unknown = {name, name, CTL_AS_IS, NULL};
        if (!find_field(fields, name))
            add_line(lines, &unknown, node);
    }
    for (guint i = 0; i < lines->len; i++)
        width = MAX(width, ctl_width(g_array_index(lines, Line, i).title));
    for (guint i = 0; i < lines->len; i++) {
        const Line *line = &g_array_index(lines, Line, i);
        if (is_table(line->node) || is_sentences(line))
            continue;
        g_autofree char *title = g_strdup_printf("%s:", line->title);
        g_autofree char *text = value_text(line->node, line->format);
        pad(title, width + 2, FALSE, FALSE);
        g_print("%s\n", text);
    }
    for (guint i = 0; i < lines->len; i++) {
        const Line *line = &g_array_index(lines, Line, i);
        if (is_table(line->node))
            print_subtable(line);
        else if (is_sentences(line))
            print_lines_below(line);
    }
}

/* ---- Answers --------------------------------------------------------------------------------------------------- */

void
ctl_print_json(JsonNode *node)
{
    g_autofree char *text = json_to_string(node, TRUE);
    g_print("%s\n", text);
    explicit_bzero(text, strlen(text));
}

void
ctl_print_warnings(JsonNode *answer)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(answer) ? json_node_get_object(answer) : NULL;
    JsonNode *node = object ? json_object_get_member(object, "warnings") : NULL;
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        g_autofree char *text = value_text(json_array_get_element(array, i), CTL_AS_IS);
        g_printerr(_("laresctl: warning: %s\n"), text);
    }
}

static void
print_done(CtlCall *call)
{
    const CtlArg *first = call->command->args;
    const char *name =
        first && first->param ? json_object_get_string_member_with_default(call->params, first->param, "") : "";
    g_autofree char *safe = ctl_printable(name);
    g_auto(GStrv) parts = g_strsplit(call->command->done ? _(call->command->done) : "", "%s", 2);
    if (parts[0])
        g_print("%s%s%s\n", parts[0], parts[1] ? safe : "", parts[1] ? parts[1] : "");
}

void
ctl_print_answer(CtlCall *call, JsonNode *answer)
{
    const CtlCommand *command = call->command;
    ctl_print_warnings(answer);
    if (call->json)
        ctl_print_json(answer);
    else if (JSON_NODE_HOLDS_ARRAY(answer) && json_array_get_length(json_node_get_array(answer)) == 0)
        g_print("%s\n", command->empty ? _(command->empty) : _("There is nothing to show."));
    else if (JSON_NODE_HOLDS_ARRAY(answer))
        ctl_print_table(json_node_get_array(answer), command->fields);
    else if (json_object_get_size(json_node_get_object(answer)) == 0)
        print_done(call);
    else
        ctl_print_block(json_node_get_object(answer), command->fields);
}
