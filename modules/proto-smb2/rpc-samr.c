/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pipe samr: the accounts of the directory, to be read by who has proven who they are.
 *
 * A handle says what it stands for and keeps nothing here: whoever makes one up could have opened it. Nothing can be
 * changed, and what a client asks for in access does not matter. Guests are refused.
 *
 * Spec: [MS-SAMR] 3.1.5, 2.2.3, 2.2.6. */
#include "rpc.h"
#include "smb2-info.h"

#define NAMES_MAX       1000u /* [MS-SAMR] 3.1.5.11.2 */
#define BYTES_MAX       65536u
#define ENTRY_BYTES     12u
#define NEVER           INT64_MAX
#define WITH_ATTRIBUTES 7u /* SE_GROUP_MANDATORY, …ENABLED_BY_DEFAULT, …ENABLED */

#define STATUS_MORE_ENTRIES   0x00000105u
#define STATUS_NO_SUCH_USER   0xc0000064u
#define STATUS_NO_SUCH_DOMAIN 0xc00000dfu

enum { ACCOUNT_DISABLED = 0x1, ACCOUNT_NORMAL = 0x10, ACCOUNT_NO_EXPIRY = 0x200 }; /* 2.2.1.12 */
enum { USE_USER = 1, USE_GROUP = 2, USE_UNKNOWN = 8 };
enum { KIND_SERVER = 1, KIND_DOMAIN, KIND_BUILTIN, KIND_USER };

static const Smb2Sid builtin = {1, 5, {32}};
#define BUILTIN_NAME "Builtin"

/* ---- Handles ----------------------------------------------------------------------------------------------------- */

static const uint8_t mark[11] = {'L', 'a', 'r', 'e', 's', ' ', 'S', 'A', 'M', ' ', ' '};

static void
put_handle(RpcCall *call, uint8_t kind, uint32_t rid)
{
    ndr_pad(&call->out, 4);
    lares_put_le32(call->out.w, 0);
    lares_put_bytes(call->out.w, mark, sizeof mark);
    lares_put_u8(call->out.w, kind);
    lares_put_le32(call->out.w, rid);
}

static void
put_no_handle(RpcCall *call)
{
    static const uint8_t none[20];
    ndr_pad(&call->out, 4);
    lares_put_bytes(call->out.w, none, sizeof none);
}

/* 0: none of ours. */
static uint8_t
take_handle(RpcCall *call, uint32_t *rid)
{
    ndr_align(&call->in, 4);
    const uint8_t *handle = lares_get_bytes(&call->in.r, 20);
    if (!handle || memcmp(handle + 4, mark, sizeof mark) != 0)
        return 0;
    if (rid)
        *rid = smb2_get_u32(handle + 16);
    return handle[15];
}

/* The status for a handle that should be of this kind (or of the built-in domain where a domain may be), for this
 * caller. */
static uint32_t
check_handle(RpcCall *call, uint8_t kind, uint8_t wanted)
{
    if (!rpc_may_ask(call))
        return STATUS_ACCESS_DENIED;
    return kind == wanted || (wanted == KIND_DOMAIN && kind == KIND_BUILTIN) ? STATUS_SUCCESS : STATUS_INVALID_HANDLE;
}

/* ---- Accounts ---------------------------------------------------------------------------------------------------- */

/* Accounts whose number has no RID in this domain are not named here. */
static gboolean
rid_of(RpcCall *call, const LaresAccount *account, gboolean group, uint32_t *rid)
{
    const Smb2Domain *domain = smb2_domain(call->service);
    Smb2Sid sid = smb2_local_sid(domain, account->id, group);
    *rid = sid.sub[sid.n - 1];
    return sid.n == 5;
}

/* A user by its RID: in the directory, or a host account of which only the name is known. */
static gboolean
user_by_rid(RpcCall *call, uint32_t rid, LaresAccount *user)
{
    Smb2Sid sid = rpc_domain_sid(call);
    gboolean group;
    *user = (LaresAccount){NULL};
    sid.sub[sid.n++] = rid;
    if (!smb2_sid_to_id(smb2_domain(call->service), &sid, &user->id, &group) || group)
        return FALSE;
    g_autoptr(GPtrArray) all = lares_directory_accounts(call->service->directory, FALSE);
    for (guint i = 0; i < all->len; i++) {
        const LaresAccount *one = all->pdata[i];
        if (one->id != user->id)
            continue;
        *user = *one;
        user->name = lares_arena_strndup(call->arena, one->name, strlen(one->name));
        user->full_name = lares_arena_strndup(call->arena, one->full_name, strlen(one->full_name));
        return TRUE;
    }
    const char *name = rpc_account_name(call, user->id, FALSE);
    user->name = (char *)name;
    user->full_name = (char *)"";
    user->gid = user->id;
    return name != NULL;
}

/* ---- Connecting -------------------------------------------------------------------------------------------------- */

static uint32_t
connect(RpcCall *call)
{
    gboolean may = rpc_may_ask(call);
    if (may)
        put_handle(call, KIND_SERVER, 0);
    else
        put_no_handle(call);
    ndr_put_u32(&call->out, may ? STATUS_SUCCESS : STATUS_ACCESS_DENIED);
    return 0;
}

static uint32_t
connect_5(RpcCall *call)
{
    NdrWriter *out = &call->out;
    ndr_put_u32(out, 1); /* OutVersion, and the arm of the union */
    ndr_put_u32(out, 1);
    ndr_put_u32(out, 3); /* Revision */
    ndr_put_u32(out, 0); /* SupportedFeatures */
    return connect(call);
}

static uint32_t
close_handle(RpcCall *call)
{
    gboolean ours = take_handle(call, NULL) != 0;
    put_no_handle(call);
    ndr_put_u32(&call->out, ours ? STATUS_SUCCESS : STATUS_INVALID_HANDLE);
    return 0;
}

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t index;
    const char *name;
} Entry;

/* SAMPR_ENUMERATION_BUFFER and what stands around it: the place to go on from, and how many there are here. */
static void
put_entries(RpcCall *call, uint32_t resume, const Entry *entries, uint32_t n, uint32_t status)
{
    NdrWriter *out = &call->out;
    gboolean ok = !SMB2_STATUS_IS_ERROR(status);
    ndr_put_u32(out, resume);
    ndr_put_pointer(out, ok);
    if (ok) {
        ndr_put_u32(out, n);
        ndr_put_pointer(out, n > 0);
        if (n > 0)
            ndr_put_u32(out, n);
        for (uint32_t i = 0; i < n; i++) {
            ndr_put_u32(out, entries[i].index);
            ndr_put_unicode(out, entries[i].name);
        }
        for (uint32_t i = 0; i < n; i++)
            ndr_put_unicode_units(out, entries[i].name);
    }
    ndr_put_u32(out, ok ? n : 0);
    ndr_put_u32(out, status);
}

static uint32_t
enum_domains(RpcCall *call)
{
    const Entry all[] = {{0, rpc_computer_name(call)}, {1, BUILTIN_NAME}};
    uint32_t status = check_handle(call, take_handle(call, NULL), KIND_SERVER);
    uint32_t resume = ndr_get_u32(&call->in);
    ndr_get_u32(&call->in);
    uint32_t from = resume < G_N_ELEMENTS(all) ? resume : G_N_ELEMENTS(all);
    put_entries(call, G_N_ELEMENTS(all), all + from, (uint32_t)G_N_ELEMENTS(all) - from, status);
    return 0;
}

/* The accounts in the order of their RIDs; the place to go on from is the last RID. At least one is given, then what
 * fits in the client's room. */
static uint32_t
enumerate(RpcCall *call, uint8_t kind, gboolean groups, uint32_t resume, uint32_t room)
{
    g_autoptr(GPtrArray) all = NULL;
    uint32_t n = 0, status = check_handle(call, kind, KIND_DOMAIN), used = 0;
    if (ndr_failed(&call->in) || status != STATUS_SUCCESS || kind == KIND_BUILTIN) {
        put_entries(call, resume, NULL, 0, status);
        return 0;
    }
    all = lares_directory_accounts(call->service->directory, groups);
    Entry *entries = lares_arena_new_n(call->arena, Entry, all->len + 1);
    for (guint i = 0; i < all->len && status == STATUS_SUCCESS; i++) {
        const LaresAccount *account = all->pdata[i];
        uint32_t rid, size = ENTRY_BYTES + 2 * (uint32_t)strlen(account->name);
        if (!rid_of(call, account, groups, &rid) || rid <= resume)
            continue;
        if (n > 0 && used + size > MIN(room, BYTES_MAX)) {
            status = STATUS_MORE_ENTRIES;
            break;
        }
        entries[n++] = (Entry){rid, lares_arena_strndup(call->arena, account->name, strlen(account->name))};
        used += size;
    }
    put_entries(call, n > 0 ? entries[n - 1].index : resume, entries, n, status);
    return 0;
}

static uint32_t
enum_users(RpcCall *call)
{
    uint8_t kind = take_handle(call, NULL);
    uint32_t resume = ndr_get_u32(&call->in), flags = ndr_get_u32(&call->in), room = ndr_get_u32(&call->in);
    if (flags != 0 && !(flags & ACCOUNT_NORMAL)) { /* machines, trusts: there are none */
        put_entries(call, resume, NULL, 0, check_handle(call, kind, KIND_DOMAIN));
        return 0;
    }
    return enumerate(call, kind, FALSE, resume, room);
}

static uint32_t
enum_groups(RpcCall *call)
{
    uint8_t kind = take_handle(call, NULL);
    uint32_t resume = ndr_get_u32(&call->in), room = ndr_get_u32(&call->in);
    return enumerate(call, kind, TRUE, resume, room);
}

/* Local groups: the directory's are all the domain's. */
static uint32_t
enum_aliases(RpcCall *call)
{
    uint8_t kind = take_handle(call, NULL);
    uint32_t resume = ndr_get_u32(&call->in);
    ndr_get_u32(&call->in);
    put_entries(call, resume, NULL, 0, check_handle(call, kind, KIND_DOMAIN));
    return 0;
}

/* ---- Domains ----------------------------------------------------------------------------------------------------- */

static uint32_t
lookup_domain(RpcCall *call)
{
    NdrReader *in = &call->in;
    uint32_t status = check_handle(call, take_handle(call, NULL), KIND_SERVER);
    const char *name = ndr_get_unicode_units(in, call->arena, ndr_get_unicode(in));
    if (ndr_failed(in))
        return RPC_FAULT_BAD_STUB_DATA;
    Smb2Sid sid = builtin;
    if (status == STATUS_SUCCESS && g_ascii_strcasecmp(name, rpc_computer_name(call)) == 0)
        sid = rpc_domain_sid(call);
    else if (status == STATUS_SUCCESS && g_ascii_strcasecmp(name, BUILTIN_NAME) != 0)
        status = STATUS_NO_SUCH_DOMAIN;
    ndr_put_pointer(&call->out, status == STATUS_SUCCESS);
    if (status == STATUS_SUCCESS)
        rpc_put_sid(&call->out, &sid);
    ndr_put_u32(&call->out, status);
    return 0;
}

static uint32_t
open_domain(RpcCall *call)
{
    Smb2Sid sid, own = rpc_domain_sid(call);
    uint32_t status = check_handle(call, take_handle(call, NULL), KIND_SERVER);
    ndr_get_u32(&call->in);
    if (!rpc_get_sid(&call->in, &sid))
        return RPC_FAULT_BAD_STUB_DATA;
    gboolean here = lares_sid_equal(&sid, &own);
    if (status == STATUS_SUCCESS && !here && !lares_sid_equal(&sid, &builtin))
        status = STATUS_NO_SUCH_DOMAIN;
    if (status == STATUS_SUCCESS)
        put_handle(call, here ? KIND_DOMAIN : KIND_BUILTIN, 0);
    else
        put_no_handle(call);
    ndr_put_u32(&call->out, status);
    return 0;
}

static void
put_time(NdrWriter *out, int64_t time)
{
    ndr_put_u32(out, (uint32_t)(uint64_t)time);
    ndr_put_u32(out, (uint32_t)((uint64_t)time >> 32));
}

static uint32_t
count_accounts(RpcCall *call, gboolean groups)
{
    g_autoptr(GPtrArray) all = lares_directory_accounts(call->service->directory, groups);
    return all->len;
}

/* DomainPasswordInformation (1): nothing is asked of passwords that are not kept here; DomainGeneralInformation (2). */
static uint32_t
query_domain(RpcCall *call)
{
    NdrWriter *out = &call->out;
    uint8_t kind = take_handle(call, NULL);
    uint16_t level = ndr_get_u16(&call->in);
    uint32_t status = check_handle(call, kind, KIND_DOMAIN);
    if (status == STATUS_SUCCESS && level != 1 && level != 2)
        status = STATUS_INVALID_INFO_CLASS;
    ndr_put_pointer(out, status == STATUS_SUCCESS);
    if (status == STATUS_SUCCESS) {
        const char *name = kind == KIND_DOMAIN ? rpc_computer_name(call) : BUILTIN_NAME;
        ndr_put_u16(out, level);
        ndr_pad(out, 4);
        if (level == 1) {
            ndr_put_u32(out, 0); /* least length, length of the history */
            ndr_put_u32(out, 0);
            put_time(out, -NEVER);
            put_time(out, 0);
        } else {
            put_time(out, -NEVER);
            ndr_put_unicode(out, "");
            ndr_put_unicode(out, name);
            ndr_put_unicode(out, "");
            put_time(out, 1); /* changes */
            ndr_put_u32(out, 1);
            ndr_put_u32(out, 3); /* DomainServerRolePrimary: a machine's own domain has no other */
            ndr_put_u32(out, 1);
            ndr_put_u32(out, kind == KIND_DOMAIN ? count_accounts(call, FALSE) : 0);
            ndr_put_u32(out, kind == KIND_DOMAIN ? count_accounts(call, TRUE) : 0);
            ndr_put_u32(out, 0);
            ndr_put_unicode_units(out, "");
            ndr_put_unicode_units(out, name);
            ndr_put_unicode_units(out, "");
        }
    }
    ndr_put_u32(out, status);
    return 0;
}

/* ---- Names and RIDs ---------------------------------------------------------------------------------------------- */

/* SAMPR_ULONG_ARRAY */
static void
put_numbers(NdrWriter *out, const uint32_t *numbers, uint32_t n)
{
    ndr_put_u32(out, n);
    ndr_put_pointer(out, n > 0);
    if (n > 0)
        ndr_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++)
        ndr_put_u32(out, numbers[i]);
}

static uint32_t
mapped_status(uint32_t mapped, uint32_t asked)
{
    return mapped == asked ? STATUS_SUCCESS : mapped > 0 ? STATUS_SOME_NOT_MAPPED : STATUS_NONE_MAPPED;
}

/* How many come: a count, then a conformant varying array of at most 1000. */
static gboolean
get_varying(NdrReader *in, size_t size, uint32_t *n)
{
    *n = ndr_get_u32(in);
    uint32_t room = ndr_get_u32(in), offset = ndr_get_u32(in), count = ndr_get_count(in, size);
    return !ndr_failed(in) && *n <= NAMES_MAX && count == *n && offset == 0 && count <= room;
}

static uint32_t
lookup_names(RpcCall *call)
{
    NdrReader *in = &call->in;
    uint8_t kind = take_handle(call, NULL);
    uint32_t n, mapped = 0, status = check_handle(call, kind, KIND_DOMAIN);
    if (!get_varying(in, 8, &n))
        return RPC_FAULT_BAD_STUB_DATA;
    NdrUnicode *heads = lares_arena_new_n(call->arena, NdrUnicode, n + 1);
    uint32_t *rids = lares_arena_new_n(call->arena, uint32_t, n + 1);
    uint32_t *uses = lares_arena_new_n(call->arena, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++)
        heads[i] = ndr_get_unicode(in);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = ndr_get_unicode_units(in, call->arena, heads[i]);
        Smb2Sid sid;
        uint32_t id;
        gboolean group;
        if (ndr_failed(in))
            return RPC_FAULT_BAD_STUB_DATA;
        rids[i] = 0;
        uses[i] = USE_UNKNOWN;
        if (status != STATUS_SUCCESS || kind != KIND_DOMAIN || strpbrk(name, "\\@") ||
            !rpc_account_id(call, name, &id, &group))
            continue;
        sid = smb2_local_sid(smb2_domain(call->service), id, group);
        if (sid.n != 5)
            continue;
        rids[i] = sid.sub[4];
        uses[i] = group ? USE_GROUP : USE_USER;
        mapped++;
    }
    gboolean ok = status == STATUS_SUCCESS;
    put_numbers(&call->out, rids, ok ? n : 0);
    put_numbers(&call->out, uses, ok ? n : 0);
    ndr_put_u32(&call->out, ok ? mapped_status(mapped, n) : status);
    return 0;
}

static uint32_t
lookup_rids(RpcCall *call)
{
    NdrReader *in = &call->in;
    NdrWriter *out = &call->out;
    uint8_t kind = take_handle(call, NULL);
    uint32_t n, mapped = 0, status = check_handle(call, kind, KIND_DOMAIN);
    if (!get_varying(in, 4, &n))
        return RPC_FAULT_BAD_STUB_DATA;
    const char **names = lares_arena_new_n(call->arena, const char *, n + 1);
    uint32_t *uses = lares_arena_new_n(call->arena, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        Smb2Sid sid = rpc_domain_sid(call);
        gboolean group = FALSE;
        uint32_t id;
        sid.sub[sid.n++] = ndr_get_u32(in);
        names[i] = NULL;
        if (status == STATUS_SUCCESS && kind == KIND_DOMAIN &&
            smb2_sid_to_id(smb2_domain(call->service), &sid, &id, &group))
            names[i] = rpc_account_name(call, id, group);
        uses[i] = !names[i] ? USE_UNKNOWN : group ? USE_GROUP : USE_USER;
        mapped += names[i] != NULL;
    }
    gboolean ok = status == STATUS_SUCCESS;
    n = ok ? n : 0;
    ndr_put_u32(out, n);
    ndr_put_pointer(out, n > 0);
    if (n > 0)
        ndr_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++)
        ndr_put_unicode(out, names[i]);
    for (uint32_t i = 0; i < n; i++)
        ndr_put_unicode_units(out, names[i]);
    put_numbers(out, uses, n);
    ndr_put_u32(out, ok ? mapped_status(mapped, n) : status);
    return 0;
}

/* ---- Users ------------------------------------------------------------------------------------------------------- */

static uint32_t
open_user(RpcCall *call)
{
    LaresAccount user;
    uint8_t kind = take_handle(call, NULL);
    uint32_t status = check_handle(call, kind, KIND_DOMAIN);
    ndr_get_u32(&call->in);
    uint32_t rid = ndr_get_u32(&call->in);
    if (status == STATUS_SUCCESS && (kind != KIND_DOMAIN || !user_by_rid(call, rid, &user)))
        status = STATUS_NO_SUCH_USER;
    if (status == STATUS_SUCCESS)
        put_handle(call, KIND_USER, rid);
    else
        put_no_handle(call);
    ndr_put_u32(&call->out, status);
    return 0;
}

static uint32_t
primary_rid(RpcCall *call, const LaresAccount *user)
{
    Smb2Sid sid = smb2_local_sid(smb2_domain(call->service), user->gid, TRUE);
    return sid.n == 5 ? sid.sub[4] : 513; /* "Domain Users" */
}

static uint32_t
account_flags(const LaresAccount *user)
{
    return ACCOUNT_NORMAL | ACCOUNT_NO_EXPIRY | (user->disabled ? ACCOUNT_DISABLED : 0);
}

/* SAMPR_USER_ALL_INFORMATION (2.2.6.6): what is not kept here is empty, never, or not there. */
static void
put_user_all(RpcCall *call, uint32_t rid, const LaresAccount *user)
{
    NdrWriter *out = &call->out;
    const char *texts[10] = {user->name, user->full_name, "", "", "", "", "", "", "", ""};
    const int64_t times[6] = {0, 0, 0, NEVER, 0, NEVER};
    for (size_t i = 0; i < G_N_ELEMENTS(times); i++)
        put_time(out, times[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        ndr_put_unicode(out, texts[i]);
    for (int i = 0; i < 3; i++) /* both hashes, PrivateData */
        ndr_put_unicode(out, NULL);
    ndr_put_u32(out, 0); /* SecurityDescriptor */
    ndr_put_pointer(out, FALSE);
    ndr_put_u32(out, rid);
    ndr_put_u32(out, primary_rid(call, user));
    ndr_put_u32(out, account_flags(user));
    ndr_put_u32(out, 0x00ffffff); /* WhichFields: all that anybody may read */
    ndr_put_u16(out, 168);        /* LogonHours: all of them */
    ndr_pad(out, 4);
    ndr_put_pointer(out, FALSE);
    for (int i = 0; i < 4; i++) /* counts, country, code page */
        ndr_put_u16(out, 0);
    for (int i = 0; i < 4; i++)
        ndr_put_u8(out, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        ndr_put_unicode_units(out, texts[i]);
}

static void
put_user(RpcCall *call, uint16_t level, uint32_t rid, const LaresAccount *user)
{
    NdrWriter *out = &call->out;
    ndr_pad(out, 4);
    switch (level) {
    case 1: /* UserGeneralInformation: name, full name, primary group, two comments */
        ndr_put_unicode(out, user->name);
        ndr_put_unicode(out, user->full_name);
        ndr_put_u32(out, primary_rid(call, user));
        ndr_put_unicode(out, NULL);
        ndr_put_unicode(out, NULL);
        ndr_put_unicode_units(out, user->name);
        ndr_put_unicode_units(out, user->full_name);
        break;
    case 6: /* UserNameInformation */
        ndr_put_unicode(out, user->name);
        ndr_put_unicode(out, user->full_name);
        ndr_put_unicode_units(out, user->name);
        ndr_put_unicode_units(out, user->full_name);
        break;
    case 7: /* UserAccountNameInformation */
    case 8: /* UserFullNameInformation */
        ndr_put_unicode(out, level == 7 ? user->name : user->full_name);
        ndr_put_unicode_units(out, level == 7 ? user->name : user->full_name);
        break;
    case 9: /* UserPrimaryGroupInformation */
        ndr_put_u32(out, primary_rid(call, user));
        break;
    case 16: /* UserControlInformation */
        ndr_put_u32(out, account_flags(user));
        break;
    default:
        put_user_all(call, rid, user);
    }
}

static uint32_t
query_user(RpcCall *call)
{
    LaresAccount user;
    uint32_t rid = 0, status = check_handle(call, take_handle(call, &rid), KIND_USER);
    uint16_t level = ndr_get_u16(&call->in);
    if (status == STATUS_SUCCESS && !((level >= 6 && level <= 9) || level == 1 || level == 16 || level == 21))
        status = STATUS_INVALID_INFO_CLASS;
    if (status == STATUS_SUCCESS && !user_by_rid(call, rid, &user))
        status = STATUS_NO_SUCH_USER;
    ndr_put_pointer(&call->out, status == STATUS_SUCCESS);
    if (status == STATUS_SUCCESS) {
        ndr_put_u16(&call->out, level);
        put_user(call, level, rid, &user);
    }
    ndr_put_u32(&call->out, status);
    return 0;
}

/* The primary group, which everybody has. */
static uint32_t
groups_of_user(RpcCall *call)
{
    NdrWriter *out = &call->out;
    LaresAccount user;
    uint32_t rid = 0, status = check_handle(call, take_handle(call, &rid), KIND_USER);
    if (status == STATUS_SUCCESS && !user_by_rid(call, rid, &user))
        status = STATUS_NO_SUCH_USER;
    ndr_put_pointer(out, status == STATUS_SUCCESS);
    if (status == STATUS_SUCCESS) {
        ndr_put_u32(out, 1);
        ndr_put_pointer(out, TRUE);
        ndr_put_u32(out, 1);
        ndr_put_u32(out, primary_rid(call, &user));
        ndr_put_u32(out, WITH_ATTRIBUTES);
    }
    ndr_put_u32(out, status);
    return 0;
}

static const RpcOperation operations[] = {{0, "SamrConnect", connect},
                                          {1, "SamrCloseHandle", close_handle},
                                          {5, "SamrLookupDomainInSamServer", lookup_domain},
                                          {6, "SamrEnumerateDomainsInSamServer", enum_domains},
                                          {7, "SamrOpenDomain", open_domain},
                                          {8, "SamrQueryInformationDomain", query_domain},
                                          {11, "SamrEnumerateGroupsInDomain", enum_groups},
                                          {13, "SamrEnumerateUsersInDomain", enum_users},
                                          {15, "SamrEnumerateAliasesInDomain", enum_aliases},
                                          {17, "SamrLookupNamesInDomain", lookup_names},
                                          {18, "SamrLookupIdsInDomain", lookup_rids},
                                          {34, "SamrOpenUser", open_user},
                                          {36, "SamrQueryInformationUser", query_user},
                                          {39, "SamrGetGroupsForUser", groups_of_user},
                                          {46, "SamrQueryInformationDomain2", query_domain},
                                          {47, "SamrQueryInformationUser2", query_user},
                                          {57, "SamrConnect2", connect},
                                          {62, "SamrConnect4", connect},
                                          {64, "SamrConnect5", connect_5},
                                          {0, NULL, NULL}};

/* 12345778-1234-abcd-ef00-0123456789ac */
const RpcInterface rpc_samr = {
    "samr",
    {0x78, 0x57, 0x34, 0x12, 0x34, 0x12, 0xcd, 0xab, 0xef, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xac},
    1,
    operations};
