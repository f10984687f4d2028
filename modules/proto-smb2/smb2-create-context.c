/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Create contexts: taking a request's list apart, putting a response's together.
 *
 * Spec: [MS-SMB2] 2.2.13.2, 2.2.14.2; unknown names are no error (3.3.5.9). */
#include "smb2-create.h"

#include <string.h>

#define MAX_CONTEXTS 64 /* seventeen kinds are known */

typedef uint32_t (*Take)(const uint8_t *data, size_t len, Smb2CreateContexts *c);

static uint32_t
take_mxac(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 0 && len != 8)
        return STATUS_INVALID_PARAMETER;
    c->mxac = TRUE;
    c->has_mxac_time = len == 8;
    c->mxac_time = len ? smb2_get_u64(data) : 0;
    return STATUS_SUCCESS;
}

static uint32_t
take_qfid(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    c->qfid = TRUE;
    return len ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}

static uint32_t
take_alsi(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 8)
        return STATUS_INVALID_PARAMETER;
    c->alsi = TRUE;
    c->allocation = smb2_get_u64(data);
    return STATUS_SUCCESS;
}

static uint32_t
take_twrp(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 8)
        return STATUS_INVALID_PARAMETER;
    c->twrp = TRUE;
    c->snapshot = smb2_get_u64(data);
    return STATUS_SUCCESS;
}

static uint32_t
take_ea(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    c->ea = data;
    c->ea_len = len;
    return STATUS_SUCCESS;
}

static uint32_t
take_sd(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    c->sd = data;
    c->sd_len = len;
    return STATUS_SUCCESS;
}

static uint32_t
take_aapl(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    c->aapl = data;
    c->aapl_len = len;
    return STATUS_SUCCESS;
}

/* Both versions start alike: key, state, flags, duration; then the parent's key and the epoch. */
static uint32_t
take_lease(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 32 && len != 52)
        return STATUS_INVALID_PARAMETER;
    c->has_lease = TRUE;
    c->lease.version = len == 52 ? 2 : 1;
    memcpy(c->lease.key, data, 16);
    c->lease.state = smb2_get_u32(data + 16);
    c->lease.flags = smb2_get_u32(data + 20);
    if (len == 52) {
        memcpy(c->lease.parent_key, data + 32, 16);
        c->lease.epoch = smb2_get_u16(data + 48);
    }
    return STATUS_SUCCESS;
}

static uint32_t
take_dhnq(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    c->dhnq = TRUE;
    return len == 16 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

static uint32_t
take_dhnc(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 16)
        return STATUS_INVALID_PARAMETER;
    c->dhnc = TRUE;
    c->durable_persistent = smb2_get_u64(data);
    c->durable_volatile = smb2_get_u64(data + 8);
    return STATUS_SUCCESS;
}

static uint32_t
take_dh2q(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 32)
        return STATUS_INVALID_PARAMETER;
    c->dh2q = TRUE;
    c->durable_timeout = smb2_get_u32(data);
    c->durable_flags = smb2_get_u32(data + 4);
    memcpy(c->create_guid, data + 16, 16);
    return STATUS_SUCCESS;
}

static uint32_t
take_dh2c(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 36)
        return STATUS_INVALID_PARAMETER;
    c->dh2c = TRUE;
    c->durable_persistent = smb2_get_u64(data);
    c->durable_volatile = smb2_get_u64(data + 8);
    memcpy(c->create_guid, data + 16, 16);
    c->durable_flags = smb2_get_u32(data + 32);
    return STATUS_SUCCESS;
}

static uint32_t
take_app_instance(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 20 || smb2_get_u16(data) != 20)
        return STATUS_INVALID_PARAMETER;
    c->has_app_instance = TRUE;
    memcpy(c->app_instance, data + 4, 16);
    return STATUS_SUCCESS;
}

static uint32_t
take_app_version(const uint8_t *data, size_t len, Smb2CreateContexts *c)
{
    if (len != 24 || smb2_get_u16(data) != 24)
        return STATUS_INVALID_PARAMETER;
    c->has_app_version = TRUE;
    c->app_version[0] = smb2_get_u64(data + 8);
    c->app_version[1] = smb2_get_u64(data + 16);
    return STATUS_SUCCESS;
}

static const struct {
    const char *name;
    size_t len;
    Take take;
} known[] = {
    {"MxAc", 4, take_mxac},
    {"QFid", 4, take_qfid},
    {"AlSi", 4, take_alsi},
    {"TWrp", 4, take_twrp},
    {"ExtA", 4, take_ea},
    {"SecD", 4, take_sd},
    {"AAPL", 4, take_aapl},
    {"RqLs", 4, take_lease},
    {"DHnQ", 4, take_dhnq},
    {"DHnC", 4, take_dhnc},
    {"DH2Q", 4, take_dh2q},
    {"DH2C", 4, take_dh2c},
    {"\x45\xbc\xa6\x6a\xef\xa7\xf7\x4a\x90\x08\xfa\x46\x2e\x14\x4d\x74", 16, take_app_instance},
    {"\xb9\x82\xd0\xb7\x3b\x56\x07\x4f\xa0\x7b\x52\x4a\x81\x16\xa0\x10", 16, take_app_version},
};

static uint32_t
take_one(const uint8_t *bytes, size_t len, Smb2CreateContexts *c)
{
    size_t name_at = smb2_get_u16(bytes + 4), name_len = smb2_get_u16(bytes + 6);
    size_t data_at = smb2_get_u16(bytes + 10), data_len = smb2_get_u32(bytes + 12);
    if (name_at < 16 || name_at > len || name_len > len - name_at || name_len < 4)
        return STATUS_INVALID_PARAMETER;
    if (data_len && (data_at < name_at + name_len || data_at > len || data_len > len - data_at || data_at % 8))
        return STATUS_INVALID_PARAMETER;
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (known[i].len == name_len && memcmp(bytes + name_at, known[i].name, name_len) == 0)
            return known[i].take(bytes + (data_len ? data_at : name_at), data_len, c);
    }
    return STATUS_SUCCESS;
}

uint32_t
smb2_create_contexts_parse(const uint8_t *bytes, size_t len, Smb2CreateContexts *c)
{
    memset(c, 0, sizeof *c);
    for (guint n = 0; len; n++) {
        if (len < 16 || n == MAX_CONTEXTS)
            return STATUS_INVALID_PARAMETER;
        size_t next = smb2_get_u32(bytes);
        if (next > len || next % 8 || (next && next < 16))
            return STATUS_INVALID_PARAMETER;
        uint32_t status = take_one(bytes, next ? next : len, c);
        if (status != STATUS_SUCCESS || !next)
            return status;
        bytes += next;
        len -= next;
    }
    return STATUS_SUCCESS;
}

void
smb2_create_context_put(LaresWriter *w, size_t *last, const char *name, const void *data, size_t len)
{
    size_t at = w->len;
    if (*last) {
        smb2_align(w, *last, 8);
        at = w->len;
        smb2_patch_u32(w, *last, (uint32_t)(at - *last));
    }
    smb2_put_u32(w, 0);
    smb2_put_u16(w, 16);
    smb2_put_u16(w, 4);
    smb2_put_u16(w, 0);
    smb2_put_u16(w, len ? 24 : 0);
    smb2_put_u32(w, (uint32_t)len);
    lares_put_bytes(w, name, 4);
    smb2_put_u32(w, 0);
    lares_put_bytes(w, data, len);
    *last = at;
}
