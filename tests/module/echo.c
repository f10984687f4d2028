/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A protocol for tests of the data plane, built against the public headers only: records in, records out.
 *
 * The first 32-bit word of a record says what to do, the second how much, the rest is data:
 * 1 echo; 2 sleep `how much` milliseconds, then echo; 3 answer with `how much` bytes; 4 answer with a file of that many
 * bytes (from the setting `file`); 5 do not answer; 6 answer later from a deferred job; 7 close the connection;
 * 8 compute for `how much` microseconds, then echo; 9 answer with counters: connected, closed, files released; 10
 * answer with `how much` bytes of a file that cannot be spliced, "spliced" again and again; 11 of one that cannot be
 * read. */
#include <lares/lares.h>

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define ECHO_TYPE_PROTOCOL (echo_protocol_get_type())
G_DECLARE_FINAL_TYPE(EchoProtocol, echo_protocol, ECHO, PROTOCOL, GObject)

struct _EchoProtocol {
    GObject parent;
    LaresHost *host;
    LaresSettings *settings;
    LaresListener *listener[2];
    LaresService service;
    gint connected, closed, sleeping;
    int fd, memory; /* the file that is sent; /proc/self/mem, which has no splice */
    char *pattern;
    gint released;
};

#define PATTERN (3u << 20)

typedef struct {
    LaresConnection *connection;
    size_t len;
    uint8_t bytes[];
} Later;

static void echo_interface_init(LaresProtocolInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(EchoProtocol, echo_protocol, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_PROTOCOL, echo_interface_init))

static gpointer
on_connected(LaresConnection *connection, gpointer user)
{
    g_atomic_int_inc(&((EchoProtocol *)user)->connected);
    return user;
}

static void
on_closed(LaresConnection *connection, gpointer data)
{
    g_atomic_int_inc(&((EchoProtocol *)data)->closed);
}

static void
answer_later(gpointer data)
{
    Later *later = data;
    lares_connection_send(later->connection, later->bytes, later->len);
    lares_connection_unref(later->connection);
    g_free(later);
}

static void
spin(uint32_t microseconds)
{
    gint64 until = g_get_monotonic_time() + microseconds;
    while (g_get_monotonic_time() < until)
        ;
}

static void
on_release(gpointer owner)
{
    g_atomic_int_inc((gint *)owner);
}

static void
on_request(LaresRequest *request, gpointer data)
{
    EchoProtocol *self = data;
    LaresWriter *out = &request->reply.out;
    LaresReader in = lares_reader(request->data, request->len);
    uint32_t what = lares_get_u32(&in), much = lares_get_u32(&in);
    g_assert(((uintptr_t)request->data & 3) == 0);
    if (what == 2) {
        g_usleep((gulong)much * 1000);
    } else if (what == 3) {
        lares_put_bytes(out, request->data, MIN(request->len, 8));
        uint8_t *p = lares_put_space(out, much);
        if (p)
            memset(p, 'x', much);
        return;
    } else if (what == 4) {
        lares_put_bytes(out, request->data, MIN(request->len, 8));
        if (!lares_reply_add_range(&request->reply, self->fd, 0, much, -much & 3, on_release, &self->released))
            g_assert_not_reached();
        return;
    } else if (what == 10 || what == 11) {
        lares_put_bytes(out, request->data, MIN(request->len, 8));
        uint64_t at = what == 10 ? (uint64_t)(uintptr_t)self->pattern : 4096; /* where no process has anything */
        if (!lares_reply_add_range(&request->reply, self->memory, at, MIN(much, PATTERN), 0, on_release,
                                   &self->released))
            g_assert_not_reached();
        return;
    } else if (what == 5) {
        return;
    } else if (what == 6) {
        Later *later = g_malloc(sizeof *later + request->len);
        *later = (Later){lares_connection_ref(request->connection), request->len};
        memcpy(later->bytes, request->data, request->len);
        lares_net_defer(self->host, answer_later, later);
        return;
    } else if (what == 7) {
        lares_connection_close(request->connection);
        return;
    } else if (what == 8) {
        spin(much);
    } else if (what == 9) {
        lares_put_bytes(out, request->data, MIN(request->len, 8));
        lares_put_u32(out, (uint32_t)g_atomic_int_get(&self->connected));
        lares_put_u32(out, (uint32_t)g_atomic_int_get(&self->closed));
        lares_put_u32(out, (uint32_t)g_atomic_int_get(&self->released));
        return;
    }
    lares_put_bytes(out, request->data, request->len);
}

static const char *
echo_get_name(LaresProtocol *protocol)
{
    return "echo";
}

static gboolean
echo_start(LaresProtocol *protocol, LaresHost *host, GError **error)
{
    EchoProtocol *self = ECHO_PROTOCOL(protocol);
    const char *const *address = lares_settings_list(self->settings, "listen");
    const char *file = lares_settings_string(self->settings, "file");
    self->host = host;
    self->fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    self->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    self->pattern = g_malloc(PATTERN);
    for (guint i = 0; i < PATTERN; i++)
        self->pattern[i] = "spliced"[i % 7];
    self->service = (LaresService){
        .name = "echo",
        .framing = lares_settings_boolean(self->settings, "direct-tcp") ? LARES_FRAMING_DIRECT_TCP : LARES_FRAMING_RPC,
        .max_record = (size_t)lares_settings_integer(self->settings, "max-record"),
        .max_reply = 8u << 20,
        .max_in_flight = (guint)lares_settings_integer(self->settings, "max-in-flight"),
        .connected = on_connected,
        .request = on_request,
        .closed = on_closed,
    };
    for (guint i = 0; i < G_N_ELEMENTS(self->listener) && address[i]; i++) {
        self->listener[i] = lares_net_listen(host, address[i], &self->service, self, error);
        if (!self->listener[i])
            return FALSE;
    }
    return TRUE;
}

static void
echo_stop(LaresProtocol *protocol)
{
    EchoProtocol *self = ECHO_PROTOCOL(protocol);
    for (guint i = 0; i < G_N_ELEMENTS(self->listener); i++)
        if (self->listener[i])
            lares_listener_close(self->listener[i]);
    lares_info("echo", "stopped: %d connected, %d closed", self->connected, self->closed);
    if (self->fd >= 0)
        close(self->fd);
    close(self->memory);
    g_free(self->pattern);
}

static void
echo_interface_init(LaresProtocolInterface *iface)
{
    iface->get_name = echo_get_name;
    iface->start = echo_start;
    iface->stop = echo_stop;
}

static void
echo_protocol_class_init(EchoProtocolClass *klass)
{
}

static void
echo_protocol_init(EchoProtocol *self)
{
    self->fd = -1;
}

static const LaresKey keys[] = {
    {"listen", LARES_KEY_LIST, "127.0.0.1:0", 0, 0, "Addresses to listen on."},
    {"file", LARES_KEY_PATH, NULL, 0, 0, "What to send as a file."},
    {"direct-tcp", LARES_KEY_BOOLEAN, "false", 0, 0, "Frame as SMB does."},
    {"max-record", LARES_KEY_SIZE, "2M", 0, 0, "Longest record."},
    {"max-in-flight", LARES_KEY_INTEGER, "64", 1, 100000, "Requests of one connection at a time."},
    {NULL},
};

static gboolean
echo_load(LaresHost *host, LaresSettings *settings, GError **error)
{
    EchoProtocol *self = g_object_new(ECHO_TYPE_PROTOCOL, NULL);
    self->settings = settings;
    gboolean ok = lares_host_add_protocol(host, LARES_PROTOCOL(self), error);
    g_object_unref(self);
    return ok;
}

LARES_MODULE(LARES_MODULE_PROTOCOL, "test-echo", .version = "1", .description = "Echoes records.", .keys = keys,
             .load = echo_load);
