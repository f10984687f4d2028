/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* IOCTL: the table of control codes, and the ones about the connection itself.
 *
 * Spec: [MS-SMB2] 2.2.31, 2.2.32, 3.3.5.15. */
#include "smb2-message.h"
#include "smb2-negotiate.h"
#include "smb2-pipe.h"
#include "smb2-reparse.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

const Smb2Fsctl smb2_fsctls[] = {
    {FSCTL_VALIDATE_NEGOTIATE_INFO, "VALIDATE_NEGOTIATE_INFO", smb2_fsctl_validate_negotiate_info,
     SMB2_FSCTL_NO_FILE | SMB2_FSCTL_ANY, "3.3.5.15.12"},
    {FSCTL_QUERY_NETWORK_INTERFACE_INFO, "QUERY_NETWORK_INTERFACE_INFO", smb2_fsctl_query_network_interface_info,
     SMB2_FSCTL_NO_FILE | SMB2_FSCTL_ANY, "3.3.5.15.11"},
    {FSCTL_DFS_GET_REFERRALS, "DFS_GET_REFERRALS", smb2_fsctl_dfs_get_referrals, SMB2_FSCTL_NO_FILE | SMB2_FSCTL_ANY,
     "3.3.5.15.2"},
    {FSCTL_DFS_GET_REFERRALS_EX, "DFS_GET_REFERRALS_EX", smb2_fsctl_dfs_get_referrals,
     SMB2_FSCTL_NO_FILE | SMB2_FSCTL_ANY, "3.3.5.15.2"},
    {FSCTL_PIPE_TRANSCEIVE, "PIPE_TRANSCEIVE", smb2_fsctl_pipe_transceive, SMB2_FSCTL_PIPE, "3.3.5.15.10"},
    {FSCTL_PIPE_PEEK, "PIPE_PEEK", smb2_fsctl_pipe_peek, SMB2_FSCTL_PIPE, "3.3.5.15.4"},
    {FSCTL_PIPE_WAIT, "PIPE_WAIT", smb2_fsctl_pipe_wait, SMB2_FSCTL_NO_FILE | SMB2_FSCTL_ANY, "[MS-FSCC] 2.3.49"},
    {FSCTL_SRV_REQUEST_RESUME_KEY, "SRV_REQUEST_RESUME_KEY", smb2_fsctl_srv_request_resume_key, 0, "3.3.5.15.5"},
    {FSCTL_SRV_COPYCHUNK, "SRV_COPYCHUNK", smb2_fsctl_srv_copychunk, 0, "3.3.5.15.6"},
    {FSCTL_SRV_COPYCHUNK_WRITE, "SRV_COPYCHUNK_WRITE", smb2_fsctl_srv_copychunk, 0, "3.3.5.15.6"},
    {FSCTL_DUPLICATE_EXTENTS_TO_FILE, "DUPLICATE_EXTENTS_TO_FILE", smb2_fsctl_duplicate_extents, 0, "3.3.5.15.8"},
    {FSCTL_GET_COMPRESSION, "GET_COMPRESSION", smb2_fsctl_get_compression, 0, "[MS-FSCC] 2.3.18"},
    {FSCTL_SET_COMPRESSION, "SET_COMPRESSION", smb2_fsctl_set_compression, 0, "[MS-FSCC] 2.3.67"},
    {FSCTL_SET_SPARSE, "SET_SPARSE", smb2_fsctl_set_sparse, 0, "3.3.5.15.8"},
    {FSCTL_SET_ZERO_DATA, "SET_ZERO_DATA", smb2_fsctl_set_zero_data, 0, "3.3.5.15.8"},
    {FSCTL_QUERY_ALLOCATED_RANGES, "QUERY_ALLOCATED_RANGES", smb2_fsctl_query_allocated_ranges, 0, "3.3.5.15.8"},
    {FSCTL_CREATE_OR_GET_OBJECT_ID, "CREATE_OR_GET_OBJECT_ID", smb2_fsctl_create_or_get_object_id, 0, "3.3.5.15.8"},
    {FSCTL_GET_REPARSE_POINT, "GET_REPARSE_POINT", smb2_fsctl_get_reparse_point, 0, "[MS-FSCC] 2.3.27"},
    {FSCTL_SET_REPARSE_POINT, "SET_REPARSE_POINT", smb2_fsctl_set_reparse_point, 0, "[MS-FSCC] 2.3.81"},
    {FSCTL_DELETE_REPARSE_POINT, "DELETE_REPARSE_POINT", smb2_fsctl_delete_reparse_point, 0, "[MS-FSCC] 2.3.5"},
    {0, NULL, NULL, 0, NULL},
};

/* ---- The dispatcher -----------------------------------------------------------------------------------------------
 */

enum {
    AT_CODE = 4,
    AT_FILE_ID = 8,
    AT_INPUT_OFFSET = 24,
    AT_INPUT_COUNT = 28,
    AT_MAX_INPUT = 32,
    AT_MAX_OUTPUT = 44,
    AT_FLAGS = 48
};
#define RESPONSE_FIXED 48u

static const Smb2Fsctl *
find(uint32_t code)
{
    for (const Smb2Fsctl *row = smb2_fsctls; row->handler; row++)
        if (row->code == code)
            return row;
    return NULL;
}

static uint32_t
open_file(Smb2Op *op, const Smb2Fsctl *row)
{
    static const uint8_t none[SMB2_FILE_ID_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    if (row->flags & SMB2_FSCTL_NO_FILE) /* [MS-SMB2] 3.3.5.15 */
        return memcmp(op->body + AT_FILE_ID, none, sizeof none) == 0 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    uint32_t status = smb2_op_open(op, op->body + AT_FILE_ID);
    if (status != STATUS_SUCCESS || row->flags & SMB2_FSCTL_ANY)
        return status;
    gboolean pipe = smb2_open_is_pipe(op->open);
    return pipe == ((row->flags & SMB2_FSCTL_PIPE) != 0) ? STATUS_SUCCESS : STATUS_INVALID_DEVICE_REQUEST;
}

static void
put_head(Smb2Op *op, uint32_t code)
{
    LaresWriter *out = op->out;
    smb2_put_u16(out, 49);
    smb2_put_u16(out, 0);
    smb2_put_u32(out, code);
    lares_put_bytes(out, op->body + AT_FILE_ID, SMB2_FILE_ID_SIZE);
    smb2_put_u32(out, SMB2_HEADER_SIZE + RESPONSE_FIXED); /* InputOffset, InputCount */
    smb2_put_u32(out, 0);
    smb2_put_u32(out, SMB2_HEADER_SIZE + RESPONSE_FIXED); /* OutputOffset, OutputCount */
    smb2_put_u32(out, 0);
    smb2_put_u32(out, 0);
    smb2_put_u32(out, 0);
}

SMB2_OP(ioctl)
{
    Smb2Ioctl ioctl = {.code = smb2_get_u32(op->body + AT_CODE), .input_len = smb2_get_u32(op->body + AT_INPUT_COUNT)};
    if (smb2_get_u32(op->body + AT_FLAGS) != SMB2_0_IOCTL_IS_FSCTL)
        return STATUS_NOT_SUPPORTED;
    ioctl.input = smb2_op_buffer(op, smb2_get_u32(op->body + AT_INPUT_OFFSET), ioctl.input_len);
    if (!ioctl.input)
        return STATUS_INVALID_PARAMETER;
    uint32_t status = smb2_op_output_limit(op, smb2_get_u32(op->body + AT_MAX_OUTPUT), &ioctl.max_output);
    if (status != STATUS_SUCCESS || smb2_get_u32(op->body + AT_MAX_INPUT) > op->connection->max_io)
        return STATUS_INVALID_PARAMETER;
    const Smb2Fsctl *row = find(ioctl.code);
    if (!row) {
        /* An unknown code on a file that is not there is about the file. */
        status = smb2_op_open(op, op->body + AT_FILE_ID);
        return status == STATUS_SUCCESS ? STATUS_INVALID_DEVICE_REQUEST : status;
    }
    status = open_file(op, row);
    if (status != STATUS_SUCCESS)
        return status;
    put_head(op, ioctl.code);
    size_t from = op->out->len;
    status = row->handler(op, &ioctl);
    if (!op->out->failed)
        smb2_patch_u32(op->out, from - 12, (uint32_t)(op->out->len - from));
    return status;
}

/* ---- The connection -----------------------------------------------------------------------------------------------
 */

/* What does not match was changed on the way: no answer, the connection ends. */
static uint32_t
downgraded(Smb2Op *op, const char *what)
{
    lares_audit("smb2-downgrade", "client", op->caller.peer->address, "user", op->caller.identity->name, "protocol",
                "smb2", "verdict", "refused", "reason", what, NULL);
    lares_connection_close(op->connection->net);
    return STATUS_ACCESS_DENIED;
}

SMB2_FSCTL(validate_negotiate_info)
{
    const Smb2Connection *c = op->connection;
    LaresReader in = lares_reader(ioctl->input, ioctl->input_len);
    uint32_t capabilities = lares_get_le32(&in);
    const uint8_t *guid = lares_get_bytes(&in, 16);
    uint16_t mode = lares_get_le16(&in);
    guint n = lares_get_le16(&in);
    const uint8_t *dialects = lares_get_bytes(&in, 2 * (size_t)n);
    if (c->dialect == SMB2_DIALECT_311)
        return downgraded(op, "VALIDATE_NEGOTIATE_INFO in dialect 3.1.1");
    if (in.failed || ioctl->max_output < 24)
        return downgraded(op, "malformed VALIDATE_NEGOTIATE_INFO");
    gboolean same = n == c->n_dialects;
    for (guint i = 0; same && i < n; i++)
        same = smb2_get_u16(dialects + 2 * i) == c->dialects[i];
    if (!same && c->n_dialects)
        return downgraded(op, "the client offered other dialects than those that arrived");
    if (!c->n_dialects) { /* SMB 1 led to 2.0.2 at once: would this list have led elsewhere? */
        uint16_t offered[SMB2_MAX_DIALECTS];
        guint known = MIN(n, SMB2_MAX_DIALECTS);
        for (guint i = 0; i < known; i++)
            offered[i] = smb2_get_u16(dialects + 2 * i);
        if (smb2_negotiate_choose(&c->service->settings, offered, known) != c->dialect)
            return downgraded(op, "the client offered a newer dialect than the one in use");
    }
    if (memcmp(guid, c->client_guid, 16) != 0 || mode != c->client_security_mode ||
        capabilities != c->client_capabilities)
        return downgraded(op, "the client sent other capabilities than those that arrived");
    smb2_put_u32(op->out, c->server_capabilities);
    lares_put_bytes(op->out, c->service->guid, 16);
    smb2_put_u16(op->out, c->server_security_mode);
    smb2_put_u16(op->out, c->dialect);
    return STATUS_SUCCESS;
}

/* ---- Interfaces ---------------------------------------------------------------------------------------------------
 */

#define INTERFACE_SIZE 152u
#define RSS_CAPABLE    1u
/* What an interface that does not tell its speed is said to have: clients compare, they do not measure. */
#define DEFAULT_SPEED UINT64_C(1000000000)

static uint64_t
link_speed(const char *name)
{
    g_autofree char *path = g_build_filename("/sys/class/net", name, "speed", NULL), *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return DEFAULT_SPEED;
    gint64 megabits = g_ascii_strtoll(text, NULL, 10);
    return megabits > 0 ? (uint64_t)megabits * 1000000 : DEFAULT_SPEED;
}

/* One address; FALSE when it is none that a client can use. */
static gboolean
put_interface(LaresWriter *out, const struct ifaddrs *i, gboolean loopback)
{
    uint8_t entry[INTERFACE_SIZE] = {0};
    unsigned index = if_nametoindex(i->ifa_name);
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || index == 0 || ((i->ifa_flags & IFF_LOOPBACK) != 0) != loopback)
        return FALSE;
    smb2_set_u32(entry + 4, index);
    smb2_set_u32(entry + 8, RSS_CAPABLE); /* several connections to one address are worth it */
    smb2_set_u64(entry + 16, link_speed(i->ifa_name));
    if (i->ifa_addr->sa_family == AF_INET) {
        smb2_set_u16(entry + 24, 2);
        memcpy(entry + 28, &((const struct sockaddr_in *)i->ifa_addr)->sin_addr, 4);
    } else if (i->ifa_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)i->ifa_addr;
        if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
            return FALSE;
        smb2_set_u16(entry + 24, 23);
        memcpy(entry + 32, &in6->sin6_addr, 16);
    } else {
        return FALSE;
    }
    lares_put_bytes(out, entry, sizeof entry);
    return TRUE;
}

SMB2_FSCTL(query_network_interface_info)
{
    struct ifaddrs *all = NULL;
    size_t from = op->out->len, last = 0;
    if (!(op->connection->server_capabilities & SMB2_GLOBAL_CAP_MULTI_CHANNEL))
        return STATUS_NOT_SUPPORTED;
    if (getifaddrs(&all) < 0)
        return STATUS_INSUFFICIENT_RESOURCES;
    /* A client on this very machine may be told its loopback; nobody else could use it. */
    gboolean local = op->caller.peer->is_local;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (op->out->len - from + INTERFACE_SIZE > ioctl->max_output)
            break;
        size_t at = op->out->len;
        if (!put_interface(op->out, i, local))
            continue;
        if (last)
            smb2_patch_u32(op->out, last, INTERFACE_SIZE);
        last = at;
    }
    freeifaddrs(all);
    return last ? STATUS_SUCCESS : STATUS_BUFFER_TOO_SMALL;
}

/* No DFS here: [MS-SMB2] 3.3.5.15.2. */
SMB2_FSCTL(dfs_get_referrals)
{
    return op->tree->pipe ? STATUS_NOT_FOUND : STATUS_FS_DRIVER_REQUIRED;
}
