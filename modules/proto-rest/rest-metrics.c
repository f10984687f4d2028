/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the module counts: requests by route, their durations, bytes of bodies, connections.
 *
 * Routes are those of the tables, so that no address anybody makes up becomes a label. */
#include "rest.h"

#define COUNT_KEY "lares-count"

/* Behind the routes of rest-routes.c. */
static const char *const others[] = {[REST_COUNT_OTHER] = "other",
                                     [REST_COUNT_VERB] = "POST /verbs/{name}",
                                     [REST_COUNT_VERBS] = "GET /verbs",
                                     [REST_COUNT_OPENAPI] = "GET /openapi.json"};

static LaresOperations *operations;
static LaresMeter *bytes;
static guint n_routes;
static const LaresMetric *const collected[] = {&lares_metric_connections, NULL};

typedef struct {
    gint64 began; /* monotonic microseconds */
    guint place;
} Count;

static guint
place_of(RestCount other)
{
    return n_routes + other;
}

void
rest_count_other(SoupServerMessage *message, RestCount other)
{
    Count *count = g_object_get_data(G_OBJECT(message), COUNT_KEY);
    if (count)
        count->place = place_of(other);
}

void
rest_count_route(SoupServerMessage *message, const RestRoute *route)
{
    Count *count = g_object_get_data(G_OBJECT(message), COUNT_KEY);
    if (count)
        count->place = (guint)(route - rest_routes);
}

static LaresOutcome
outcome_of(guint status)
{
    if (status < 400 || status == SOUP_STATUS_PRECONDITION_FAILED)
        return LARES_OUTCOME_OK;
    if (status >= 500)
        return LARES_OUTCOME_SERVER;
    if (status == SOUP_STATUS_UNAUTHORIZED || status == SOUP_STATUS_FORBIDDEN)
        return LARES_OUTCOME_DENIED;
    return status == SOUP_STATUS_CONFLICT ? LARES_OUTCOME_BUSY : LARES_OUTCOME_CLIENT;
}

static void
began(SoupServer *soup, SoupServerMessage *message, gpointer user)
{
    Count *count = g_new(Count, 1);
    *count = (Count){g_get_monotonic_time(), place_of(REST_COUNT_OTHER)};
    g_object_set_data_full(G_OBJECT(message), COUNT_KEY, count, g_free);
}

static void
finished(SoupServer *soup, SoupServerMessage *message, gpointer user)
{
    Count *count = g_object_get_data(G_OBJECT(message), COUNT_KEY);
    guint status = soup_server_message_get_status(message);
    if (!count || status == SOUP_STATUS_NONE) /* no request came on the connection */
        return;
    lares_operations_count(operations, count->place, outcome_of(status));
    lares_operations_time(operations, count->place, (uint64_t)(g_get_monotonic_time() - count->began) * 1000);
    lares_meter_add(bytes, 0, (uint64_t)soup_server_message_get_request_body(message)->length);
    lares_meter_add(bytes, 1, (uint64_t)soup_server_message_get_response_body(message)->length);
}

void
rest_metrics_watch(RestServer *self)
{
    g_signal_connect(self->soup, "request-started", G_CALLBACK(began), NULL);
    g_signal_connect(self->soup, "request-finished", G_CALLBACK(finished), NULL);
    g_signal_connect(self->soup, "request-aborted", G_CALLBACK(finished), NULL);
}

static void
collect(LaresSamples *samples, gpointer user)
{
    static const char *const name = "rest";
    const RestServer *self = user;
    if (self->soup)
        lares_samples_add(samples, &lares_metric_connections, &name,
                          self->connections + (self->visits ? self->visits->len : 0));
}

gboolean
rest_metrics_register(RestServer *self, GError **error)
{
    static const char *const directions[] = {"rest", "received", "rest", "sent"};
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (const RestRoute *route = rest_routes; route->method; route++)
        g_ptr_array_add(names, g_strdup_printf("%s %s", route->method, route->path));
    n_routes = names->len;
    for (guint i = 0; i < G_N_ELEMENTS(others); i++)
        g_ptr_array_add(names, g_strdup(others[i]));
    operations = lares_operations_new("rest", (const char *const *)names->pdata, names->len, error);
    if (operations)
        bytes = lares_meter_new(&lares_metric_network_bytes, directions, 2, error);
    return bytes && lares_metrics_collect(collected, collect, self, error);
}
