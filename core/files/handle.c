/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File handles on the wire, and the life of LaresFiles.
 *
 * Layout: version (1), zero (1), share id (4, big endian), MAC (16), the store's handle. The MAC is HMAC-SHA-256 over
 * all other bytes, cut to 16, under a key that only this server has: nobody can make up a handle for a file that was
 * never shown to a client. Verified handles are remembered per thread, so a MAC is computed once per handle, not
 * once per request.
 *
 * Thread: any. */
#include "files/files-private.h"
#include "share/pseudo.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <unistd.h>

#define VERSION     1
#define MAC_LEN     16
#define HEAD_LEN    6
#define FIXED_LEN   (HEAD_LEN + MAC_LEN)
#define CACHE_SLOTS 256

G_STATIC_ASSERT(FIXED_LEN + LARES_HANDLE_MAX <= LARES_WIRE_HANDLE_MAX);

typedef struct {
    uint8_t len; /* of the store's handle; 0xff: empty slot */
    uint8_t head[HEAD_LEN];
    uint8_t mac[MAC_LEN];
    uint8_t handle[LARES_HANDLE_MAX];
} CacheSlot;

/* A thread's own: the computation with the key already in it, since most of the work of one short MAC is its set-up. */
typedef struct {
    uint8_t key[32];
    EVP_MAC_CTX *mac;
    CacheSlot slot[CACHE_SLOTS];
} Cache;

static void
cache_free(gpointer data)
{
    Cache *c = data;
    EVP_MAC_CTX_free(c->mac);
    OPENSSL_cleanse(c->key, sizeof c->key);
    g_free(c);
}

static _Thread_local Cache *cache;
static GPrivate cache_end = G_PRIVATE_INIT(cache_free); /* the cache goes with its thread */

/* ---- key --------------------------------------------------------------------------------------------------------- */

static gboolean
make_key(LaresFiles *files, const char *path, GError **error)
{
    if (RAND_bytes(files->key, sizeof files->key) != 1) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "no random bytes for %s", path);
        return FALSE;
    }
    return g_file_set_contents_full(path, (const char *)files->key, sizeof files->key,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

static gboolean
load_key(LaresFiles *files, GError **error)
{
    g_autofree char *path = g_build_filename(lares_host_state_dir(files->host), "handle.key", NULL);
    g_autofree char *bytes = NULL;
    size_t len;
    g_autoptr(GError) local = NULL;
    if (!g_file_get_contents(path, &bytes, &len, &local)) {
        if (!g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return FALSE;
        }
        return make_key(files, path, error);
    }
    if (len != sizeof files->key) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED,
                    "%s is damaged (%zu bytes instead of %zu): remove it, and clients must mount again", path, len,
                    sizeof files->key);
        return FALSE;
    }
    memcpy(files->key, bytes, len);
    OPENSSL_cleanse(bytes, len);
    return TRUE;
}

LaresFiles *
lares_files_new(LaresHost *host, GError **error)
{
    LaresFiles *files = g_new0(LaresFiles, 1);
    files->host = host;
    files->shares = lares_host_shares(host);
    if (!load_key(files, error)) {
        g_free(files);
        return NULL;
    }
    files->sweeper = lares_sweeper_start(files->shares);
    return files;
}

void
lares_files_free(LaresFiles *files)
{
    if (!files)
        return;
    lares_sweeper_stop(files->sweeper);
    OPENSSL_cleanse(files->key, sizeof files->key);
    lares_fold_forget(NULL);
    g_clear_pointer(&files->watches, g_ptr_array_unref);
    g_free(files);
}

/* ---- MAC --------------------------------------------------------------------------------------------------------- */

static EVP_MAC_CTX *
new_mac(const uint8_t *key, size_t len)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_utf8_string("digest", digest, sizeof digest - 1), OSSL_PARAM_END};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);
    if (!mac || !EVP_MAC_init(mac, key, len, params))
        g_error("HMAC-SHA-256 is not available");
    return mac;
}

static Cache *
cache_for(LaresFiles *files)
{
    if (G_LIKELY(cache && memcmp(cache->key, files->key, sizeof cache->key) == 0))
        return cache;
    cache = g_new(Cache, 1);
    g_private_replace(&cache_end, cache);
    memcpy(cache->key, files->key, sizeof cache->key);
    cache->mac = new_mac(cache->key, sizeof cache->key);
    for (guint i = 0; i < CACHE_SLOTS; i++)
        cache->slot[i].len = 0xff;
    return cache;
}

static CacheSlot *
slot_of(Cache *c, const uint8_t *head, const uint8_t *handle, size_t len)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < HEAD_LEN; i++)
        h = (h ^ head[i]) * 16777619u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ handle[i]) * 16777619u;
    return &c->slot[(h ^ (h >> 16)) % CACHE_SLOTS];
}

/* The MAC of a handle, from the cache or computed. */
static const uint8_t *
mac_of(LaresFiles *files, const uint8_t *head, const uint8_t *handle, size_t len)
{
    Cache *c = cache_for(files);
    CacheSlot *slot = slot_of(c, head, handle, len);
    if (slot->len == len && memcmp(slot->head, head, HEAD_LEN) == 0 && memcmp(slot->handle, handle, len) == 0)
        return slot->mac;
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t digest_len;
    if (!EVP_MAC_init(c->mac, NULL, 0, NULL) || !EVP_MAC_update(c->mac, head, HEAD_LEN) ||
        !EVP_MAC_update(c->mac, handle, len) || !EVP_MAC_final(c->mac, digest, &digest_len, sizeof digest))
        g_error("HMAC-SHA-256 is not available");
    slot->len = (uint8_t)len;
    memcpy(slot->head, head, HEAD_LEN);
    memcpy(slot->handle, handle, len);
    memcpy(slot->mac, digest, MAC_LEN);
    return slot->mac;
}

static size_t
seal(LaresFiles *files, const LaresShare *share, const LaresHandle *handle, uint8_t *buf)
{
    uint32_t id = GUINT32_TO_BE(share->id);
    buf[0] = VERSION;
    buf[1] = 0;
    memcpy(buf + 2, &id, sizeof id);
    memcpy(buf + HEAD_LEN, mac_of(files, buf, handle->bytes, handle->len), MAC_LEN);
    memcpy(buf + FIXED_LEN, handle->bytes, handle->len);
    return FIXED_LEN + (size_t)handle->len;
}

size_t
lares_files_handle(LaresFiles *files, const LaresObject *object, uint8_t *buf)
{
    return seal(files, object->share, &object->node->handle, buf);
}

LaresStatus
lares_files_entry_handle(LaresFiles *files, const LaresObject *dir, const char *name, uint64_t fileid, uint8_t *buf,
                         size_t *len)
{
    const LaresStoreInterface *iface = STORE_IFACE(dir->share->store);
    LaresHandle handle;
    if (!iface->entry_handle)
        return LARES_NOTSUPP;
    LaresStatus status = iface->entry_handle(dir->share->store, dir->node, name, fileid, &handle);
    if (status == LARES_OK)
        *len = seal(files, dir->share, &handle, buf);
    return status;
}

LaresStatus
lares_files_from_handle(LaresFiles *files, const LaresCaller *caller, const uint8_t *bytes, size_t len,
                        LaresObject *out)
{
    *out = (LaresObject){NULL, NULL};
    if (len <= FIXED_LEN || len > FIXED_LEN + LARES_HANDLE_MAX || bytes[0] != VERSION || bytes[1] != 0)
        return LARES_BADHANDLE;
    const uint8_t *handle = bytes + FIXED_LEN;
    size_t handle_len = len - FIXED_LEN;
    if (CRYPTO_memcmp(mac_of(files, bytes, handle, handle_len), bytes + HEAD_LEN, MAC_LEN) != 0)
        return LARES_BADHANDLE;
    uint32_t id;
    memcpy(&id, bytes + 2, sizeof id);
    id = GUINT32_FROM_BE(id);
    LaresShare *share = id ? lares_shares_by_id(files->shares, id) : lares_shares_pseudo(files->shares);
    if (!share)
        return LARES_STALE;
    if (!share->enabled || !share->store || !lares_share_allows_host(share, caller->peer)) {
        LaresStatus status = share->enabled && share->store ? LARES_ACCESS : LARES_STALE;
        lares_share_unref(share);
        return status;
    }
    LaresStatus status = STORE_IFACE(share->store)->from_handle(share->store, handle, handle_len, &out->node);
    if (status != LARES_OK) {
        lares_share_unref(share);
        out->node = NULL;
        return status;
    }
    out->share = share;
    return LARES_OK;
}
