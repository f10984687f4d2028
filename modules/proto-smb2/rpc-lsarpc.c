/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pipe lsarpc: names for SIDs and SIDs for names, and what this machine's own domain is.
 *
 * A policy handle stands for nothing: there is one policy, and what may be asked is the same for everybody. Guests
 * learn who they are, but no names of others. LookupSids3 and LookupNames4 are meant for the secure channel of domain
 * members (3.1.4.9, 3.1.4.5); a session that has proven who it is gets from them what the others say, too.
 *
 * Users and groups of an Active Directory are of its domain, by the names that the directory has learned.
 *
 * Spec: [MS-LSAT] 3.1.4, 2.2; [MS-LSAD] 3.1.4.4. */
#include "rpc.h"
#include "smb2-info.h"

#define SIDS_MAX  20480u /* [MS-LSAT] 2.2.18 */
#define NAMES_MAX 1000u
#define NOBODY    UINT32_MAX /* no domain */

enum { USE_USER = 1, USE_GROUP = 2, USE_DOMAIN = 3, USE_ALIAS = 4, USE_WELL_KNOWN = 5, USE_UNKNOWN = 8 };
enum { DOMAIN_HERE, DOMAIN_WORLD, DOMAIN_AUTHORITY, DOMAIN_BUILTIN, N_DOMAINS }; /* then those of Active Directory */
#define OTHERS_MAX 28u

static const uint8_t policy[20] = {0,   0,   0,   0,   'L', 'a', 'r', 'e', 's', ' ',
                                   'L', 'S', 'A', ' ', 'p', 'o', 'l', 'i', 'c', 'y'};
static const struct {
    Smb2Sid sid;
    const char *name;
    uint16_t use;
    uint32_t domain;
} well_known[] = {
    {{1, 1, {0}}, "Everyone", USE_WELL_KNOWN, DOMAIN_WORLD},
    {{1, 3, {0}}, "CREATOR OWNER", USE_WELL_KNOWN, DOMAIN_WORLD},
    {{1, 3, {1}}, "CREATOR GROUP", USE_WELL_KNOWN, DOMAIN_WORLD},
    {{1, 5, {2}}, "NETWORK", USE_WELL_KNOWN, DOMAIN_AUTHORITY},
    {{1, 5, {7}}, "ANONYMOUS LOGON", USE_WELL_KNOWN, DOMAIN_AUTHORITY},
    {{1, 5, {11}}, "Authenticated Users", USE_WELL_KNOWN, DOMAIN_AUTHORITY},
    {{1, 5, {18}}, "SYSTEM", USE_WELL_KNOWN, DOMAIN_AUTHORITY},
    {{2, 5, {32, 544}}, "Administrators", USE_ALIAS, DOMAIN_BUILTIN},
    {{2, 5, {32, 545}}, "Users", USE_ALIAS, DOMAIN_BUILTIN},
    {{2, 5, {32, 546}}, "Guests", USE_ALIAS, DOMAIN_BUILTIN},
};

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

static gboolean
take_handle(RpcCall *call)
{
    ndr_align(&call->in, 4);
    const uint8_t *handle = lares_get_bytes(&call->in.r, sizeof policy);
    return handle && memcmp(handle, policy, sizeof policy) == 0;
}

static void
put_handle(RpcCall *call, gboolean open)
{
    static const uint8_t none[sizeof policy];
    ndr_pad(&call->out, 4);
    lares_put_bytes(call->out.w, open ? policy : none, sizeof policy);
}

/* The Active Directory domains that answers may refer to; guests learn of none. */
static GPtrArray *
other_domains(RpcCall *call)
{
    GPtrArray *all = lares_directory_domains(call->service->directory);
    if (!rpc_may_ask(call))
        g_ptr_array_set_size(all, 0);
    else if (all->len > OTHERS_MAX)
        g_ptr_array_set_size(all, OTHERS_MAX);
    return all;
}

static Smb2Sid
domain_sid(RpcCall *call, const GPtrArray *ad, guint which)
{
    static const Smb2Sid others[] = {
        [DOMAIN_WORLD] = {0, 1, {0}}, [DOMAIN_AUTHORITY] = {0, 5, {0}}, [DOMAIN_BUILTIN] = {1, 5, {32}}};
    if (which >= N_DOMAINS)
        return ((const LaresDomain *)ad->pdata[which - N_DOMAINS])->sid;
    return which == DOMAIN_HERE ? rpc_domain_sid(call) : others[which];
}

static const char *
domain_name(RpcCall *call, const GPtrArray *ad, guint which)
{
    static const char *const others[] = {
        [DOMAIN_WORLD] = "", [DOMAIN_AUTHORITY] = "NT AUTHORITY", [DOMAIN_BUILTIN] = "BUILTIN"};
    if (which >= N_DOMAINS)
        return ((const LaresDomain *)ad->pdata[which - N_DOMAINS])->name;
    return which == DOMAIN_HERE ? rpc_computer_name(call) : others[which];
}

/* LSAPR_REFERENCED_DOMAIN_LIST: all, always; the entries say by index which is theirs. */
static void
put_domains(RpcCall *call, const GPtrArray *ad)
{
    NdrWriter *out = &call->out;
    guint n = N_DOMAINS + ad->len;
    ndr_put_pointer(out, TRUE);
    ndr_put_u32(out, n);
    ndr_put_pointer(out, TRUE);
    ndr_put_u32(out, 32);
    ndr_put_u32(out, n);
    for (guint i = 0; i < n; i++) {
        ndr_put_unicode(out, domain_name(call, ad, i));
        ndr_put_pointer(out, TRUE);
    }
    for (guint i = 0; i < n; i++) {
        Smb2Sid sid = domain_sid(call, ad, i);
        ndr_put_unicode_units(out, domain_name(call, ad, i));
        rpc_put_sid(out, &sid);
    }
}

static uint32_t
mapped_status(uint32_t mapped, uint32_t asked)
{
    return mapped == asked ? STATUS_SUCCESS : mapped > 0 ? STATUS_SOME_NOT_MAPPED : STATUS_NONE_MAPPED;
}

/* ---- The directory ----------------------------------------------------------------------------------------------- */

typedef struct {
    uint16_t use;
    uint32_t domain;
    const char *name; /* arena */
    Smb2Sid sid;
} Answer;

/* An account of one of those domains. */
static gboolean
answer_account(RpcCall *call, const GPtrArray *ad, const Smb2Sid *sid, Answer *answer)
{
    Smb2Sid domain;
    gboolean group;
    g_autofree char *name =
        rpc_may_ask(call) ? lares_directory_sid_name(call->service->directory, sid, &domain, &group) : NULL;
    for (guint i = 0; i < ad->len && name; i++)
        if (lares_sid_equal(&((const LaresDomain *)ad->pdata[i])->sid, &domain)) {
            *answer = (Answer){group ? USE_GROUP : USE_USER, N_DOMAINS + i,
                               lares_arena_strndup(call->arena, name, strlen(name)), *sid};
            return TRUE;
        }
    return FALSE;
}

static Answer
answer_sid(RpcCall *call, const GPtrArray *ad, const Smb2Sid *sid)
{
    char text[LARES_SID_TEXT];
    Answer answer;
    uint32_t id;
    gboolean group;
    for (size_t i = 0; i < G_N_ELEMENTS(well_known); i++)
        if (lares_sid_equal(sid, &well_known[i].sid))
            return (Answer){well_known[i].use, well_known[i].domain, well_known[i].name, *sid};
    for (uint32_t i = 0; i < N_DOMAINS + ad->len; i++) {
        Smb2Sid domain = domain_sid(call, ad, i);
        if (i != DOMAIN_WORLD && lares_sid_equal(sid, &domain))
            return (Answer){USE_DOMAIN, i, "", *sid};
    }
    if (answer_account(call, ad, sid, &answer))
        return answer;
    /* Of this server, or in a domain without a name for it: the local one is told. */
    if (rpc_may_ask(call) && smb2_sid_to_id(smb2_domain(call->service), sid, &id, &group)) {
        const char *name = rpc_account_name(call, id, group);
        if (name)
            return (Answer){group ? USE_GROUP : USE_USER, DOMAIN_HERE, name, *sid};
    }
    lares_sid_print(sid, text, sizeof text);
    return (Answer){USE_UNKNOWN, NOBODY, lares_arena_strndup(call->arena, text, strlen(text)), *sid};
}

/* Whether what stands before '\\' or behind '@' means this machine. */
static gboolean
is_here(RpcCall *call, const char *domain, size_t len)
{
    const char *names[] = {rpc_computer_name(call), lares_host_domain(call->service->host),
                           lares_host_name(call->service->host)};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strlen(names[i]) == len && g_ascii_strncasecmp(names[i], domain, len) == 0)
            return TRUE;
    return len == 0;
}

/* "CORP\ada", "CORP.TEST\ada", "ada@CORP.TEST". */
static gboolean
answer_name_in(RpcCall *call, const GPtrArray *ad, const char *plain, size_t plain_len, const char *domain, size_t len,
               Answer *answer)
{
    gboolean group;
    const char *name = lares_arena_strndup(call->arena, plain, plain_len);
    for (guint i = 0; i < ad->len; i++) {
        const LaresDomain *one = ad->pdata[i];
        gboolean meant = (strlen(one->name) == len && g_ascii_strncasecmp(one->name, domain, len) == 0) ||
                         (strlen(one->realm) == len && g_ascii_strncasecmp(one->realm, domain, len) == 0);
        if (meant && lares_directory_find_sid(call->service->directory, &one->sid, name, &answer->sid, &group)) {
            answer->use = group ? USE_GROUP : USE_USER;
            answer->domain = N_DOMAINS + i;
            answer->name = name;
            return TRUE;
        }
    }
    return FALSE;
}

/* Of an account by its number: of a domain where one has it, else of this machine. */
static void
answer_id(RpcCall *call, const GPtrArray *ad, uint32_t id, gboolean group, Answer *answer)
{
    const Smb2Domain *domain = smb2_domain(call->service);
    Smb2Sid sid = group ? smb2_sid_of_gid(domain, id) : smb2_sid_of_uid(domain, id);
    if (answer_account(call, ad, &sid, answer))
        return;
    answer->sid = smb2_local_sid(domain, id, group);
    answer->use = group ? USE_GROUP : USE_USER;
}

/* "ada", "NAS\ada", "ada@home.lan"; a domain's own name. */
static Answer
answer_name(RpcCall *call, const GPtrArray *ad, const char *given)
{
    const char *slash = strrchr(given, '\\'), *plain = slash ? slash + 1 : given, *at = strchr(plain, '@');
    const Answer unknown = {.use = USE_UNKNOWN, .domain = NOBODY};
    Answer a = {.domain = DOMAIN_HERE};
    uint32_t id;
    gboolean group;
    for (size_t i = 0; i < G_N_ELEMENTS(well_known) && !at; i++)
        if (g_ascii_strcasecmp(plain, well_known[i].name) == 0)
            return (Answer){well_known[i].use, well_known[i].domain, well_known[i].name, well_known[i].sid};
    for (uint32_t i = 0; i < N_DOMAINS + ad->len && !at; i++) {
        const char *domain = domain_name(call, ad, i);
        if (*domain && g_ascii_strcasecmp(slash && !*plain ? given : plain, domain) == 0)
            return (Answer){USE_DOMAIN, i, domain, domain_sid(call, ad, i)};
    }
    if (slash && !at && answer_name_in(call, ad, plain, strlen(plain), given, (size_t)(slash - given), &a))
        return a;
    if (at && !slash && answer_name_in(call, ad, plain, (size_t)(at - plain), at + 1, strlen(at + 1), &a))
        return a;
    if (!rpc_may_ask(call) || (slash && !is_here(call, given, (size_t)(slash - given))) ||
        (at && !is_here(call, at + 1, strlen(at + 1))))
        return unknown;
    a.name = lares_arena_strndup(call->arena, plain, at ? (size_t)(at - plain) : strlen(plain));
    if (!rpc_account_id(call, a.name, &id, &group))
        return unknown;
    answer_id(call, ad, id, group, &a);
    return a;
}

/* ---- SIDs to names ----------------------------------------------------------------------------------------------- */

static uint32_t
lookup_sids(RpcCall *call, int version)
{
    NdrReader *in = &call->in;
    NdrWriter *out = &call->out;
    if (version < 3 ? !take_handle(call) : !rpc_may_ask(call))
        return version < 3 ? RPC_FAULT_BAD_STUB_DATA : RPC_FAULT_ACCESS_DENIED;
    uint32_t n = ndr_get_u32(in), mapped = 0;
    gboolean there = ndr_get_pointer(in);
    if (n > SIDS_MAX || (n > 0) != there || (there && ndr_get_count(in, 4) != n) || ndr_failed(in))
        return RPC_FAULT_BAD_STUB_DATA;
    for (uint32_t i = 0; i < n; i++)
        if (!ndr_get_pointer(in))
            return RPC_FAULT_BAD_STUB_DATA;
    Answer *answers = lares_arena_new_n(call->arena, Answer, n + 1);
    g_autoptr(GPtrArray) ad = other_domains(call);
    for (uint32_t i = 0; i < n; i++) {
        Smb2Sid sid;
        if (!rpc_get_sid(in, &sid))
            return RPC_FAULT_BAD_STUB_DATA;
        answers[i] = answer_sid(call, ad, &sid);
        mapped += answers[i].use != USE_UNKNOWN;
    }
    put_domains(call, ad);
    ndr_put_u32(out, n);
    ndr_put_pointer(out, n > 0);
    if (n > 0)
        ndr_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++) {
        ndr_pad(out, 4);
        ndr_put_u16(out, answers[i].use);
        ndr_put_unicode(out, answers[i].name);
        ndr_put_u32(out, answers[i].domain);
        if (version >= 2)
            ndr_put_u32(out, 0);
    }
    for (uint32_t i = 0; i < n; i++)
        ndr_put_unicode_units(out, answers[i].name);
    ndr_put_u32(out, mapped);
    ndr_put_u32(out, mapped_status(mapped, n));
    return 0;
}

static uint32_t
lookup_sids_1(RpcCall *call)
{
    return lookup_sids(call, 1);
}

static uint32_t
lookup_sids_2(RpcCall *call)
{
    return lookup_sids(call, 2);
}

static uint32_t
lookup_sids_3(RpcCall *call)
{
    return lookup_sids(call, 3);
}

/* ---- Names to SIDs ----------------------------------------------------------------------------------------------- */

static void
put_translated_sid(NdrWriter *out, int version, const Answer *a)
{
    ndr_pad(out, 4);
    ndr_put_u16(out, a->use);
    if (version >= 3)
        ndr_put_pointer(out, a->use != USE_UNKNOWN);
    else
        ndr_put_u32(out, a->use == USE_UNKNOWN || a->use == USE_DOMAIN ? UINT32_MAX : a->sid.sub[a->sid.n - 1]);
    ndr_put_u32(out, a->domain);
    if (version >= 2)
        ndr_put_u32(out, 0);
}

static uint32_t
lookup_names(RpcCall *call, int version)
{
    NdrReader *in = &call->in;
    NdrWriter *out = &call->out;
    if (version < 4 ? !take_handle(call) : !rpc_may_ask(call))
        return version < 4 ? RPC_FAULT_BAD_STUB_DATA : RPC_FAULT_ACCESS_DENIED;
    uint32_t n = ndr_get_u32(in), mapped = 0;
    if (n > NAMES_MAX || ndr_get_count(in, 8) != n || ndr_failed(in))
        return RPC_FAULT_BAD_STUB_DATA;
    g_autoptr(GPtrArray) ad = other_domains(call);
    NdrUnicode *heads = lares_arena_new_n(call->arena, NdrUnicode, n + 1);
    Answer *answers = lares_arena_new_n(call->arena, Answer, n + 1);
    for (uint32_t i = 0; i < n; i++)
        heads[i] = ndr_get_unicode(in);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = ndr_get_unicode_units(in, call->arena, heads[i]);
        if (ndr_failed(in))
            return RPC_FAULT_BAD_STUB_DATA;
        answers[i] = answer_name(call, ad, name);
        mapped += answers[i].use != USE_UNKNOWN;
    }
    put_domains(call, ad);
    ndr_put_u32(out, n);
    ndr_put_pointer(out, n > 0);
    if (n > 0)
        ndr_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++)
        put_translated_sid(out, version, &answers[i]);
    for (uint32_t i = 0; i < n && version >= 3; i++)
        if (answers[i].use != USE_UNKNOWN)
            rpc_put_sid(out, &answers[i].sid);
    ndr_put_u32(out, mapped);
    ndr_put_u32(out, mapped_status(mapped, n));
    return 0;
}

static uint32_t
lookup_names_1(RpcCall *call)
{
    return lookup_names(call, 1);
}

static uint32_t
lookup_names_2(RpcCall *call)
{
    return lookup_names(call, 2);
}

static uint32_t
lookup_names_3(RpcCall *call)
{
    return lookup_names(call, 3);
}

static uint32_t
lookup_names_4(RpcCall *call)
{
    return lookup_names(call, 4);
}

/* ---- The policy -------------------------------------------------------------------------------------------------- */

/* What a client wishes for in access does not matter: nothing here can be changed. */
static uint32_t
open_policy(RpcCall *call)
{
    put_handle(call, TRUE);
    ndr_put_u32(&call->out, STATUS_SUCCESS);
    return 0;
}

static uint32_t
close_policy(RpcCall *call)
{
    gboolean ours = take_handle(call);
    put_handle(call, FALSE);
    ndr_put_u32(&call->out, ours ? STATUS_SUCCESS : STATUS_INVALID_HANDLE);
    return 0;
}

/* PolicyPrimaryDomainInformation (3): a workgroup has no SID; PolicyAccountDomainInformation (5): the machine's own;
 * PolicyLsaServerRoleInformation (6); PolicyDnsDomainInformation (12): none, but the workgroup's name. */
static void
put_policy(RpcCall *call, uint16_t level)
{
    static const uint8_t no_guid[16];
    NdrWriter *out = &call->out;
    const char *name = level == 5 ? rpc_computer_name(call) : RPC_WORKGROUP;
    ndr_put_u16(out, level);
    ndr_pad(out, 4);
    if (level == 6) {
        ndr_put_u16(out, 3); /* PolicyServerRolePrimary */
        return;
    }
    ndr_put_unicode(out, name);
    if (level == 12) {
        ndr_put_unicode(out, NULL);
        ndr_put_unicode(out, NULL);
        lares_put_bytes(out->w, no_guid, sizeof no_guid);
    }
    ndr_put_pointer(out, level == 5);
    ndr_put_unicode_units(out, name);
    if (level == 5) {
        Smb2Sid sid = rpc_domain_sid(call);
        rpc_put_sid(out, &sid);
    }
}

static uint32_t
query_policy(RpcCall *call)
{
    gboolean ours = take_handle(call);
    uint16_t level = ndr_get_u16(&call->in);
    gboolean known = ours && (level == 3 || level == 5 || level == 6 || level == 12);
    ndr_put_pointer(&call->out, known);
    if (known)
        put_policy(call, level);
    ndr_put_u32(&call->out, known ? STATUS_SUCCESS : ours ? STATUS_INVALID_PARAMETER : STATUS_INVALID_HANDLE);
    return 0;
}

static uint32_t
get_user_name(RpcCall *call)
{
    NdrReader *in = &call->in;
    NdrWriter *out = &call->out;
    rpc_skip_server_name(call);
    if (ndr_get_pointer(in))
        ndr_get_unicode_units(in, call->arena, ndr_get_unicode(in));
    gboolean domain = ndr_get_pointer(in);
    if (ndr_failed(in))
        return RPC_FAULT_BAD_STUB_DATA;
    LaresIdentity *who = smb2_session_identity(call->session);
    const char *user = call->session->guest || !who ? "Guest" : who->name, *machine = rpc_computer_name(call);
    ndr_put_pointer(out, TRUE);
    ndr_put_unicode(out, user);
    ndr_put_unicode_units(out, user);
    ndr_put_pointer(out, domain);
    if (domain) {
        ndr_put_pointer(out, TRUE);
        ndr_put_unicode(out, machine);
        ndr_put_unicode_units(out, machine);
    }
    ndr_put_u32(out, STATUS_SUCCESS);
    if (who)
        lares_identity_unref(who);
    return 0;
}

static const RpcOperation operations[] = {{0, "LsarClose", close_policy},
                                          {6, "LsarOpenPolicy", open_policy},
                                          {7, "LsarQueryInformationPolicy", query_policy},
                                          {14, "LsarLookupNames", lookup_names_1},
                                          {15, "LsarLookupSids", lookup_sids_1},
                                          {44, "LsarOpenPolicy2", open_policy},
                                          {45, "LsarGetUserName", get_user_name},
                                          {46, "LsarQueryInformationPolicy2", query_policy},
                                          {57, "LsarLookupSids2", lookup_sids_2},
                                          {58, "LsarLookupNames2", lookup_names_2},
                                          {68, "LsarLookupNames3", lookup_names_3},
                                          {76, "LsarLookupSids3", lookup_sids_3},
                                          {77, "LsarLookupNames4", lookup_names_4},
                                          {0, NULL, NULL}};

/* 12345778-1234-abcd-ef00-0123456789ab */
const RpcInterface rpc_lsarpc = {
    "lsarpc",
    {0x78, 0x57, 0x34, 0x12, 0x34, 0x12, 0xcd, 0xab, 0xef, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab},
    0,
    operations};
