/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The NFS service in this process, over a store in memory. */
#include "nfs4rig.h"
#include "memstore.h"
#include "nfs4-rpc.h"
#include "sealauth.h"

#include "auth/registry.h"
#include "base/log.h"
#include "files/files-private.h"
#include "identity/directory.h"
#include "module/host-private.h"
#include "share/shares.h"
#include "store/registry.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <unistd.h>

extern const LaresModule lares_module_auth_sys;

struct _Nfs4Rig {
    Nfs4Rig *of; /* whose service a thread's rig uses; NULL: its own */
    char *dir;
    LaresHost *host;
    Nfs4Service *service;
    LaresListener *listener;
    LaresService plain; /* hands out the connection and nothing else */
    int fd;             /* the client's end, never used */
    Nfs4Connection *connection;
    LaresArena *arena, *calls;
    uint8_t *reply;
    uint32_t xid;
    uint32_t flavor;
};

static LaresStore *the_store;

static LaresStore *
open_store(LaresHost *host, const char *path, GError **error)
{
    the_store = memstore_open(host, path, error);
    return the_store;
}

/* ---- Setting up ---------------------------------------------------------------------------------------------------
 */

static void
load_auth_sys(LaresHost *host)
{
    GError *error = NULL;
    LaresHostModule module = {.name = (char *)"auth-sys", .module = &lares_module_auth_sys};
    static gboolean loaded; /* flavors are there for ever */
    if (loaded)
        return;
    lares_host_begin_load(host, &module);
    gboolean ok = lares_module_auth_sys.load(host, NULL, &error) && seal_load(host, &error);
    g_assert_no_error(error);
    ok = lares_host_end_load(host, ok, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    seal_loaded();
    g_assert_true(lares_store_registry_add("mem", open_store, NULL));
    g_clear_pointer(&module.protocols, g_ptr_array_unref);
    loaded = TRUE;
}

static void
make_share(Nfs4Rig *rig)
{
    GError *error = NULL;
    const char *sec[] = {"sys", NULL};
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&b, "{sv}", "name", g_variant_new_string("share"));
    g_variant_builder_add(&b, "{sv}", "path", g_variant_new_string(rig->dir));
    g_variant_builder_add(&b, "{sv}", "store", g_variant_new_string("mem"));
    g_variant_builder_add(&b, "{sv}", "squash", g_variant_new_string("none"));
    g_variant_builder_add(&b, "{sv}", "sec", g_variant_new_strv(sec, -1));
    g_autoptr(GVariant) args = g_variant_ref_sink(g_variant_builder_end(&b));
    g_assert_true(lares_shares_open_all(rig->host->shares, &error));
    gboolean ok = lares_shares_create(rig->host->shares, args, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

void
nfs4_rig_set_sec(Nfs4Rig *rig, const char *sec)
{
    GError *error = NULL;
    GVariantBuilder b;
    g_auto(GStrv) list = g_strsplit(sec, ",", -1);
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&b, "{sv}", "name", g_variant_new_string("share"));
    g_variant_builder_add(&b, "{sv}", "sec", g_variant_new_strv((const char *const *)list, -1));
    g_autoptr(GVariant) args = g_variant_ref_sink(g_variant_builder_end(&b));
    gboolean ok = lares_shares_change(rig->host->shares, args, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
}

void
nfs4_rig_set_flavor(Nfs4Rig *rig, uint32_t rpc_flavor)
{
    rig->flavor = rpc_flavor;
}

static gpointer
plain_connected(LaresConnection *connection, gpointer user)
{
    g_atomic_pointer_set((LaresConnection **)user, lares_connection_ref(connection));
    return NULL;
}

static void
plain_request(LaresRequest *request, gpointer data)
{
}

static void
plain_closed(LaresConnection *connection, gpointer data)
{
}

/* A connection of the data plane, for its address; records go past it. */
static void
connect_plainly(Nfs4Rig *rig)
{
    static LaresConnection *taken;
    GError *error = NULL;
    rig->plain = (LaresService){"rig", LARES_FRAMING_RPC, 4096, 4096, 1, plain_connected, plain_request, plain_closed};
    taken = NULL;
    rig->listener = lares_net_listen(rig->host, "127.0.0.1:0", &rig->plain, &taken, &error);
    g_assert_no_error(error);
    g_autoptr(GSocket) s = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_autoptr(GSocketAddress) to =
        g_inet_socket_address_new_from_string("127.0.0.1", lares_listener_get_port(rig->listener));
    g_socket_connect(s, to, NULL, &error);
    g_assert_no_error(error);
    rig->fd = dup(g_socket_get_fd(s));
    while (!g_atomic_pointer_get(&taken))
        g_usleep(1000);
    rig->connection = nfs4_rpc_connected(taken, rig->service);
    lares_connection_unref(taken);
}

Nfs4Rig *
nfs4_rig_new(void)
{
    return nfs4_rig_new_leased(90);
}

Nfs4Rig *
nfs4_rig_new_leased(guint lease_seconds)
{
    GError *error = NULL;
    Nfs4Rig *rig = g_new0(Nfs4Rig, 1);
    LaresHost *host = rig->host = lares_host_new();
    lares_log_set_level(g_getenv("LARES_TEST_DEBUG") ? LARES_LOG_DEBUG : LARES_LOG_ERROR);
    rig->dir = g_dir_make_tmp("nfs4rig-XXXXXX", NULL);
    host->state_dir = g_strdup(rig->dir);
    host->run_dir = g_strdup(rig->dir);
    host->name = g_strdup("nas.home.lan");
    host->domain = g_strdup("home.lan");
    host->aliases = g_strsplit("nas.home.lan", ",", -1);
    host->boot_id = 1;
    host->directory = lares_directory_new(host, &error);
    g_assert_no_error(error);
    host->shares = lares_shares_new(host, &error);
    g_assert_no_error(error);
    host->files = lares_files_new(host, &error);
    g_assert_no_error(error);
    host->net = lares_net_new(1, 1, 30, 64 << 20, &error);
    g_assert_no_error(error);
    load_auth_sys(host);
    make_share(rig);
    Nfs4Settings settings = {.lease_time = lease_seconds,
                             .max_minor = 2,
                             .max_io = NFS4_MAX_IO,
                             .max_contexts = 64,
                             .max_contexts_each = 64,
                             .max_clients = 100000,
                             .max_sessions = 16,
                             .max_slots = 64,
                             .max_opens = 1 << 20,
                             .max_locks = 1 << 15,
                             .max_owners = 1 << 20,
                             .max_kept = 16 << 20};
    rig->service = nfs4_service_new(host, &settings, &error);
    g_assert_no_error(error);
    connect_plainly(rig);
    rig->arena = lares_arena_new();
    rig->calls = lares_arena_new();
    rig->flavor = RPC_FLAVOR_SYS;
    return rig;
}

static void
remove_dir(const char *path)
{
    const char *name;
    GDir *dir = g_dir_open(path, 0, NULL);
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_unlink(file);
    }
    g_clear_pointer(&dir, g_dir_close);
    g_rmdir(path);
}

Nfs4Rig *
nfs4_rig_for_thread(Nfs4Rig *of)
{
    Nfs4Rig *rig = g_new0(Nfs4Rig, 1);
    rig->of = of;
    rig->host = of->host;
    rig->service = of->service;
    rig->connection = of->connection;
    rig->arena = lares_arena_new();
    rig->calls = lares_arena_new();
    rig->flavor = RPC_FLAVOR_SYS;
    return rig;
}

static void
free_calls(Nfs4Rig *rig)
{
    lares_arena_free(rig->arena);
    lares_arena_free(rig->calls);
    g_free(rig->reply);
    g_free(rig);
}

void
nfs4_rig_free(Nfs4Rig *rig)
{
    LaresHost *host = rig->host;
    if (rig->of) {
        free_calls(rig);
        return;
    }
    nfs4_rpc_closed(NULL, rig->connection);
    lares_listener_close(rig->listener);
    close(rig->fd);
    nfs4_service_free(rig->service);
    lares_net_free(host->net);
    lares_files_free(host->files);
    lares_shares_free(host->shares);
    lares_directory_free(host->directory);
    lares_host_free(host);
    remove_dir(rig->dir);
    g_free(rig->dir);
    free_calls(rig);
}

struct _Nfs4Service *
nfs4_rig_service(Nfs4Rig *rig)
{
    return rig->service;
}

LaresStore *
nfs4_rig_store(Nfs4Rig *rig)
{
    return the_store;
}

/* ---- Calls --------------------------------------------------------------------------------------------------------
 */

/* Puts the reply together as the data plane would send it, without framing. */
static size_t
flatten(Nfs4Rig *rig, LaresReply *reply)
{
    size_t len = lares_reply_length(reply), at = 0, from = LARES_REPLY_HEAD;
    rig->reply = g_realloc(rig->reply, len + 1);
    for (guint i = 0; i <= reply->n_ranges; i++) {
        size_t to = i < reply->n_ranges ? reply->range[i].at : reply->out.len;
        memcpy(rig->reply + at, reply->out.base + from, to - from);
        at += to - from;
        from = to;
        if (i == reply->n_ranges)
            break;
        LaresFileRange *r = &reply->range[i];
        memset(rig->reply + at, 0, r->length + r->padding);
        g_assert_cmpint(pread(r->fd, rig->reply + at, r->length, (off_t)r->offset), >=, 0);
        at += r->length + r->padding;
        r->release(r->owner);
    }
    g_assert_cmpuint(at, ==, len);
    return len;
}

const uint8_t *
nfs4_rig_record(Nfs4Rig *rig, const void *record, size_t len, size_t *reply_len)
{
    lares_arena_reset(rig->arena);
    LaresRequest request = {.connection = rig->connection->net, .arena = rig->arena, .len = len};
    request.data = g_memdup2(record, len); /* of its exact size, so that a sanitizer sees a read behind it */
    lares_writer_init(&request.reply.out, rig->arena, 512, NFS4_MAX_REPLY);
    lares_put_space(&request.reply.out, LARES_REPLY_HEAD);
    nfs4_rpc_request(&request, rig->connection);
    g_assert_false(request.reply.out.failed);
    *reply_len = flatten(rig, &request.reply);
    g_free(request.data);
    return *reply_len > 0 ? rig->reply : NULL;
}

static void
put_cred(Nfs4Rig *rig, LaresWriter *w, uint32_t uid, uint32_t gid)
{
    lares_put_u32(w, rig->flavor);
    if (rig->flavor == RPC_FLAVOR_NONE) {
        lares_put_u32(w, 0);
    } else if (rig->flavor == SEAL_RPC_FLAVOR) {
        lares_put_u32(w, 8);
        lares_put_u32(w, uid);
        lares_put_u32(w, gid);
    } else {
        lares_put_u32(w, 24);
        lares_put_u32(w, 0);
        lares_put_string(w, "rig");
        lares_put_u32(w, uid);
        lares_put_u32(w, gid);
        lares_put_u32(w, 0);
    }
}

static void
put_call(Nfs4Rig *rig, LaresWriter *w, uint32_t uid, uint32_t gid)
{
    lares_put_u32(w, ++rig->xid);
    lares_put_u32(w, RPC_CALL);
    lares_put_u32(w, 2);
    lares_put_u32(w, NFS4_PROGRAM);
    lares_put_u32(w, NFS4_VERSION);
    lares_put_u32(w, NFS4_PROC_COMPOUND);
    put_cred(rig, w, uid, gid);
    lares_put_u32(w, RPC_FLAVOR_NONE);
    lares_put_u32(w, 0);
}

LaresReader
nfs4_rig_compound(Nfs4Rig *rig, uint32_t minor, uint32_t uid, uint32_t gid, const void *ops, size_t len, uint32_t n,
                  uint32_t *status)
{
    LaresWriter w;
    size_t reply_len, tag_len;
    lares_arena_reset(rig->calls);
    lares_writer_init(&w, rig->calls, len + 256, len + 1024);
    put_call(rig, &w, uid, gid);
    lares_put_string(&w, "tag");
    lares_put_u32(&w, minor);
    lares_put_u32(&w, n);
    lares_put_bytes(&w, ops, len);
    const uint8_t *reply = nfs4_rig_record(rig, w.base, w.len, &reply_len);
    g_assert_nonnull(reply);
    LaresReader r = lares_reader(reply, reply_len);
    g_assert_cmpuint(lares_get_u32(&r), ==, rig->xid);
    g_assert_cmpuint(lares_get_u32(&r), ==, RPC_REPLY);
    g_assert_cmpuint(lares_get_u32(&r), ==, RPC_MSG_ACCEPTED);
    g_assert_cmpuint(lares_get_u32(&r), ==, RPC_FLAVOR_NONE);
    g_assert_cmpuint(lares_get_u32(&r), ==, 0);
    g_assert_cmpuint(lares_get_u32(&r), ==, RPC_SUCCESS);
    *status = lares_get_u32(&r);
    const uint8_t *tag = lares_get_opaque(&r, 16, &tag_len);
    g_assert_cmpmem(tag, tag_len, "tag", 3);
    return r;
}
