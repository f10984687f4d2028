/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File handles on the wire, and the life of LaresFiles.
 *
 * Layout: version (1), kind (1), share id (4, big endian), MAC (16), the store's handle. The MAC is HMAC-SHA-256 over
 * all other bytes, cut to 16, under a key that only this server has: nobody can make up a handle for a file that was
 * never shown to a client. Verified handles are remembered per thread, so a MAC is computed once per handle, not
 * once per request.
 *
 * Kind 1 is the directory with the named attributes of the object whose handle follows. Kind 2 is a named attribute:
 * the length (1) of the handle of the object it belongs to, that handle, and its own. So nothing that is reached by a
 * handle has lost the object that says who may use it.
 *
 * Thread: any. */
#include "files/files-private.h"
#include "share/pseudo.h"
#include "share/shares.h"

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
#define REST_MAX    (LARES_WIRE_HANDLE_MAX - FIXED_LEN)
#define CACHE_SLOTS 256

enum { KIND_PLAIN, KIND_NAMED_DIR, KIND_NAMED };

G_STATIC_ASSERT(FIXED_LEN + LARES_HANDLE_MAX <= LARES_WIRE_HANDLE_MAX);

typedef struct {
    uint8_t len; /* of what follows the MAC; 0xff: empty slot */
    uint8_t head[HEAD_LEN];
    uint8_t mac[MAC_LEN];
    uint8_t handle[REST_MAX];
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
seal(LaresFiles *files, const LaresShare *share, uint8_t kind, const uint8_t *handle, size_t len, uint8_t *buf)
{
    uint32_t id = GUINT32_TO_BE(share->id);
    buf[0] = VERSION;
    buf[1] = kind;
    memcpy(buf + 2, &id, sizeof id);
    memcpy(buf + HEAD_LEN, mac_of(files, buf, handle, len), MAC_LEN);
    memcpy(buf + FIXED_LEN, handle, len);
    return FIXED_LEN + len;
}

size_t
lares_files_handle(LaresFiles *files, const LaresObject *object, uint8_t *buf)
{
    const LaresHandle *handle = &object->node->handle;
    return seal(files, object->share, KIND_PLAIN, handle->bytes, handle->len, buf);
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
        *len = seal(files, dir->share, KIND_PLAIN, handle.bytes, handle.len, buf);
    return status;
}

gboolean
lares_files_named_fits(const LaresObject *of, const LaresObject *named)
{
    return 1u + of->node->handle.len + named->node->handle.len <= REST_MAX;
}

size_t
lares_files_named_handle(LaresFiles *files, const LaresObject *object, const LaresObject *of, uint8_t *buf)
{
    const LaresHandle *base = &of->node->handle, *own = &object->node->handle;
    uint8_t both[REST_MAX];
    if (object->node->type == LARES_TYPE_DIRECTORY)
        return seal(files, of->share, KIND_NAMED_DIR, base->bytes, base->len, buf);
    g_assert(lares_files_named_fits(of, object)); /* no other is given out */
    both[0] = base->len;
    memcpy(both + 1, base->bytes, base->len);
    memcpy(both + 1 + base->len, own->bytes, own->len);
    return seal(files, of->share, KIND_NAMED, both, 1u + base->len + own->len, buf);
}

/* ---- And back ----------------------------------------------------------------------------------------------------
 */

static gboolean
is_sealed(LaresFiles *files, const uint8_t *bytes, size_t len)
{
    return len > FIXED_LEN && len <= LARES_WIRE_HANDLE_MAX && bytes[0] == VERSION && bytes[1] <= KIND_NAMED &&
           CRYPTO_memcmp(mac_of(files, bytes, bytes + FIXED_LEN, len - FIXED_LEN), bytes + HEAD_LEN, MAC_LEN) == 0;
}

/* A reference to the share of a handle that is sealed. */
static LaresStatus
find_share(LaresFiles *files, const LaresCaller *caller, const uint8_t *bytes, LaresShare **share)
{
    uint32_t id;
    memcpy(&id, bytes + 2, sizeof id);
    id = GUINT32_FROM_BE(id);
    *share = id ? lares_shares_by_id(files->shares, id) : lares_shares_pseudo(files->shares);
    if (!*share)
        return LARES_STALE;
    LaresStatus status = LARES_OK;
    if (!(*share)->enabled || !(*share)->store)
        status = LARES_STALE;
    else if (!lares_share_allows_host(*share, caller->peer))
        status = LARES_ACCESS;
    if (status != LARES_OK)
        g_clear_pointer(share, lares_share_unref);
    return status;
}

static LaresStatus
find_node(LaresShare *share, const uint8_t *handle, size_t len, LaresObject *out)
{
    if (len == 0 || len > LARES_HANDLE_MAX)
        return LARES_BADHANDLE;
    LaresStatus status = STORE_IFACE(share->store)->from_handle(share->store, handle, len, &out->node);
    if (status == LARES_OK)
        out->share = lares_share_ref(share);
    else
        out->node = NULL;
    return status;
}

static LaresStatus
find_named(LaresShare *share, uint8_t kind, const uint8_t *handle, size_t len, LaresObject *out, LaresObject *of)
{
    size_t skip = 0, base = len;
    if (kind == KIND_NAMED) {
        skip = 1;
        base = handle[0];
        if (base + 1 >= len)
            return LARES_BADHANDLE;
    }
    LaresStatus status = find_node(share, handle + skip, base, of);
    if (status == LARES_OK && kind == KIND_NAMED) {
        status = find_node(share, handle + 1 + base, len - 1 - base, out);
    } else if (status == LARES_OK) {
        status = lares_files_stream_folder(of, &out->node);
        if (status == LARES_OK)
            out->share = lares_share_ref(share);
        else
            out->node = NULL;
    }
    if (status != LARES_OK)
        lares_object_clear(of);
    return status == LARES_NOENT ? LARES_STALE : status;
}

LaresStatus
lares_files_from_any_handle(LaresFiles *files, const LaresCaller *caller, const uint8_t *bytes, size_t len,
                            LaresObject *out, LaresObject *of)
{
    g_autoptr(LaresShare) share = NULL;
    *out = *of = (LaresObject){NULL, NULL};
    if (!is_sealed(files, bytes, len))
        return LARES_BADHANDLE;
    LaresStatus status = find_share(files, caller, bytes, &share);
    if (status != LARES_OK)
        return status;
    if (bytes[1] == KIND_PLAIN)
        status = find_node(share, bytes + FIXED_LEN, len - FIXED_LEN, out);
    else
        status = find_named(share, bytes[1], bytes + FIXED_LEN, len - FIXED_LEN, out, of);
    if (G_UNLIKELY(status == LARES_STALE))
        lares_shares_suspect(files->shares);
    return status;
}

LaresStatus
lares_files_from_handle(LaresFiles *files, const LaresCaller *caller, const uint8_t *bytes, size_t len,
                        LaresObject *out)
{
    LaresObject of;
    *out = (LaresObject){NULL, NULL};
    if (len > FIXED_LEN && bytes[1] != KIND_PLAIN) /* who does not know of it must not be given it */
        return LARES_BADHANDLE;
    return lares_files_from_any_handle(files, caller, bytes, len, out, &of);
}
