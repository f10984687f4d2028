/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SMB 2 records of any bytes, over a store in memory.
 *
 * First byte: bit 0 clear: the rest is a whole record on a new connection (NEGOTIATE, SMB 1, transforms). Set: the rest
 * is a chain of commands of a guest who is logged in and connected to a share, whose headers get the right session,
 * tree and message ids (bit 1 clear), so that the handlers are reached; bit 2 chooses dialect 2.1 instead of 3.1.1. */
#include "memstore.h"
#include "smb2-connection.h"
#include "smb2-credits.h"
#include "smb2-message.h"

#include "base/log.h"
#include "files/files-private.h"
#include "identity/directory.h"
#include "module/host-private.h"
#include "net/net.h"
#include "share/shares.h"
#include "store/registry.h"

#include <gio/gio.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const LaresModule lares_module_auth_sys;

static LaresHost *host;
static Smb2Service *service;
static LaresConnection *net;
static LaresShare *share;
static LaresArena *arena;
static LaresIdentity *guest;

/* ---- Setting up ---------------------------------------------------------------------------------------------------
 */

static void
load_modules(void)
{
    GError *error = NULL;
    LaresHostModule module = {.name = (char *)"auth-sys", .module = &lares_module_auth_sys};
    lares_host_begin_load(host, &module);
    gboolean ok = lares_module_auth_sys.load(host, NULL, &error);
    ok = lares_host_end_load(host, ok, &error);
    g_assert_no_error(error);
    g_assert_true(ok && lares_store_registry_add("mem", memstore_open, NULL));
}

static void
make_share(const char *dir)
{
    GError *error = NULL;
    const char *sec[] = {"sys", NULL};
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&b, "{sv}", "name", g_variant_new_string("share"));
    g_variant_builder_add(&b, "{sv}", "path", g_variant_new_string(dir));
    g_variant_builder_add(&b, "{sv}", "store", g_variant_new_string("mem"));
    g_variant_builder_add(&b, "{sv}", "sec", g_variant_new_strv(sec, -1));
    g_autoptr(GVariant) args = g_variant_ref_sink(g_variant_builder_end(&b));
    gboolean ok = lares_shares_open_all(host->shares, &error) && lares_shares_create(host->shares, args, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    share = lares_shares_by_name(host->shares, "share");
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

/* A connection of the data plane, for its addresses; records go past it. */
static void
connect_plainly(void)
{
    static LaresService plain = {.name = "rig",
                                 .framing = LARES_FRAMING_DIRECT_TCP,
                                 .max_record = 4096,
                                 .max_reply = 4096,
                                 .max_in_flight = 1,
                                 .connected = plain_connected,
                                 .request = plain_request};
    GError *error = NULL;
    LaresListener *listener = lares_net_listen(host, "127.0.0.1:0", &plain, &net, &error);
    g_assert_no_error(error);
    g_autoptr(GSocket) s = g_socket_new(G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, NULL);
    g_autoptr(GSocketAddress) to =
        g_inet_socket_address_new_from_string("127.0.0.1", lares_listener_get_port(listener));
    g_socket_connect(s, to, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(dup(g_socket_get_fd(s)), >=, 0);
    while (!g_atomic_pointer_get(&net))
        g_usleep(1000);
}

static void
start(void)
{
    GError *error = NULL;
    const char *reason;
    static const LaresAuthPeer nobody = {.anonymous = TRUE};
    static char *dir; /* for as long as the process lives */
    dir = g_dir_make_tmp("smb2fuzz-XXXXXX", NULL);
    host = lares_host_new();
    lares_log_set_level(LARES_LOG_ERROR);
    host->state_dir = g_strdup(dir);
    host->run_dir = g_strdup(dir);
    host->name = g_strdup("nas.home.lan");
    host->domain = g_strdup("home.lan");
    host->aliases = g_strsplit("nas.home.lan", ",", -1);
    host->boot_id = 1;
    host->directory = lares_directory_new(host, &error);
    g_assert_no_error(error);
    host->shares = lares_shares_new(host, &error);
    host->files = lares_files_new(host, &error);
    host->net = lares_net_new(1, 1, 30, 64 << 20, &error);
    g_assert_no_error(error);
    load_modules();
    make_share(dir);
    g_assert_cmpint(lares_directory_resolve(host->directory, &nobody, &guest, &reason), ==, LARES_OK);
    static const Smb2Settings settings = {.encryption = SMB2_ENCRYPTION_OFFERED,
                                          .min_dialect = SMB2_DIALECT_202,
                                          .max_dialect = SMB2_DIALECT_311,
                                          .max_io = 1 << 20,
                                          .max_credits = 512,
                                          .max_async = 16,
                                          .max_sessions = 64,
                                          .max_trees = 16,
                                          .multichannel = TRUE};
    service = smb2_service_new(host, &settings, &error);
    g_assert_no_error(error);
    connect_plainly();
    arena = lares_arena_new();
}

/* ---- A guest ------------------------------------------------------------------------------------------------------
 */

static Smb2Session *
log_in(Smb2Connection *c, uint16_t dialect)
{
    static uint64_t last;
    Smb2Session *s = g_new0(Smb2Session, 1);
    c->dialect = dialect;
    c->multi_credit = TRUE;
    c->max_io = 1 << 20;
    smb2_credits_grant(c->credits, 500);
    s->ref = 2; /* the caller's and the service's */
    s->service = service;
    s->id = ++last;
    s->state = SMB2_SESSION_VALID;
    s->dialect = dialect;
    s->identity = lares_identity_ref(guest);
    s->flavor = lares_flavor_by_name("sys");
    s->principal = g_strdup("sys");
    s->expiry = INT64_MAX;
    s->guest = TRUE;
    g_mutex_init(&s->lock);
    s->trees = g_hash_table_new_full(g_int_hash, g_int_equal, NULL, (GDestroyNotify)smb2_tree_unref);
    s->channels = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_channel_unref);
    g_hash_table_insert(service->sessions, &s->id, s);
    Smb2Channel *channel = smb2_channel_new(s, c);
    channel->established = TRUE;
    g_ptr_array_add(s->channels, smb2_channel_ref(channel));
    g_hash_table_insert(c->channels, &s->id, channel);
    return s;
}

static void
connect_share(Smb2Session *s)
{
    Smb2Tree *tree = g_new0(Smb2Tree, 1);
    tree->ref = 1;
    tree->session = smb2_session_ref(s);
    tree->id = ++s->next_tree;
    tree->share = lares_share_ref(share);
    tree->flavor = s->flavor;
    tree->maximal_access = SMB2_FILE_ALL_ACCESS;
    tree->generation = lares_shares_generation(host->shares);
    g_hash_table_insert(s->trees, &tree->id, tree);
}

/* Headers that let the commands through. */
static void
mend(uint8_t *record, size_t len, uint64_t session_id)
{
    uint64_t id = 0;
    for (size_t at = 0; len - at >= SMB2_HEADER_SIZE;) {
        uint8_t *h = record + at;
        uint32_t next = smb2_get_u32(h + SMB2_H_NEXT);
        smb2_set_u32(h, SMB2_PROTOCOL_ID);
        smb2_set_u16(h + SMB2_H_STRUCTURE_SIZE, SMB2_HEADER_SIZE);
        h[SMB2_H_CREDIT_CHARGE] &= 7;
        h[SMB2_H_CREDIT_CHARGE + 1] = 0;
        h[SMB2_H_COMMAND] %= SMB2_N_COMMANDS;
        h[SMB2_H_COMMAND + 1] = 0;
        h[SMB2_H_FLAGS] &= SMB2_FLAGS_RELATED_OPERATIONS;
        smb2_set_u64(h + SMB2_H_MESSAGE_ID, id);
        smb2_set_u32(h + SMB2_H_TREE_ID, 1);
        smb2_set_u64(h + SMB2_H_SESSION_ID, session_id);
        if (len - at >= SMB2_HEADER_SIZE + 2)
            smb2_set_u16(h + SMB2_HEADER_SIZE, smb2_commands[h[SMB2_H_COMMAND]].structure_size);
        id += MAX(h[SMB2_H_CREDIT_CHARGE], 1);
        if (next < SMB2_HEADER_SIZE || next > len - at)
            break;
        at += next;
    }
}

static void
run(Smb2Connection *c, const uint8_t *bytes, size_t len, uint64_t session_id)
{
    LaresRequest request = {.connection = net, .arena = arena, .len = len};
    request.data = g_memdup2(bytes, len); /* of its exact size, so that a sanitizer sees a read behind it */
    if (session_id)
        mend(request.data, len, session_id);
    lares_writer_init(&request.reply.out, arena, 512, service->net.max_reply + LARES_REPLY_HEAD);
    lares_put_space(&request.reply.out, LARES_REPLY_HEAD);
    smb2_message_request(&request, c);
    g_assert_false(request.reply.out.failed);
    lares_reply_rewind(&request.reply, LARES_REPLY_HEAD, 0);
    g_free(request.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!service)
        start();
    if (size < 2)
        return 0;
    lares_arena_reset(arena);
    Smb2Connection *c = smb2_connected(net, service);
    if (data[0] & 1) {
        Smb2Session *s = log_in(c, data[0] & 4 ? SMB2_DIALECT_210 : SMB2_DIALECT_311);
        connect_share(s);
        run(c, data + 1, size - 1, data[0] & 2 ? 0 : s->id);
        smb2_session_unref(s);
    } else {
        run(c, data + 1, size - 1, 0);
    }
    smb2_closed(net, c);
    return 0;
}
