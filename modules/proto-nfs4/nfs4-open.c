/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a file for an owner: one stateid per owner and file, widened by each further OPEN.
 *
 * The store opens before the client's lock is taken, so that one client's opens run on all cores; when two OPENs of one
 * owner race for the same file, the second one finds the first one's grant and joins it.
 *
 * Spec: RFC 7530 16.16, RFC 8881 18.16 */
#include "nfs4-open.h"
#include "nfs4-named.h"

#include <string.h>

static Nfs4Grant *
find_grant(Nfs4Owner *owner, const LaresNode *node)
{
    g_mutex_lock(&owner->client->lock);
    Nfs4Grant *grant = nfs4_grant_of(owner, node);
    g_mutex_unlock(&owner->client->lock);
    return grant;
}

static uint32_t
gone_status(const Nfs4Compound *c)
{
    return c->minor > 0 ? NFS4ERR_BADSESSION : NFS4ERR_EXPIRED;
}

/* The holder that one more open will belong to: a reference, unless the client is gone or has as many as it may. */
static uint32_t
get_holder(const Nfs4Compound *c, Nfs4Client *client, LaresHolder **holder)
{
    g_mutex_lock(&client->lock);
    *holder = client->holder ? lares_holder_ref(client->holder) : NULL;
    g_mutex_unlock(&client->lock);
    if (!*holder)
        return gone_status(c);
    if (lares_holder_may_open(*holder) == LARES_OK)
        return NFS4_OK;
    g_clear_pointer(holder, lares_holder_unref);
    return nfs4_client_full(c, client, "max-opens");
}

/* Widens a grant; consumes the reference unless it becomes the result. */
static uint32_t
join_grant(Nfs4Compound *c, Nfs4Grant *grant, const Nfs4OpenArgs *args, Nfs4OpenResult *result)
{
    LaresStatus status = nfs4_files_open_upgrade(c, grant->open, args->access, args->deny);
    if (status != LARES_OK) {
        nfs4_grant_unref(grant);
        return status == LARES_STALE ? NFS4ERR_DELAY : nfs4_status(c, status); /* closed meanwhile: try again */
    }
    result->stateid = nfs4_grant_bump(grant);
    g_mutex_lock(&grant->client->lock);
    grant->access_seen |= (uint8_t)(1u << args->access);
    grant->deny_seen |= (uint8_t)(1u << args->deny);
    g_mutex_unlock(&grant->client->lock);
    result->grant = grant;
    return NFS4_OK;
}

/* Gives an open just made to the owner. Consumes `open`. */
static uint32_t
give_grant(Nfs4Compound *c, Nfs4Owner *owner, const Nfs4OpenArgs *args, LaresOpen *open, Nfs4OpenResult *result)
{
    Nfs4Client *client = owner->client;
    uint32_t status = NFS4_OK;
    g_autoptr(LaresFile) of = nfs4_hold(c);
    nfs4_client_record(client);
    g_mutex_lock(&client->lock);
    Nfs4Grant *grant = nfs4_grant_of(owner, lares_open_node(open));
    gboolean joined = grant != NULL;
    if (!client->holder) {
        status = gone_status(c);
    } else if (!grant) {
        grant = nfs4_grant_add(owner, NFS4_GRANT_OPEN, open, NULL);
        grant->access_seen = (uint8_t)(1u << args->access);
        grant->deny_seen = (uint8_t)(1u << args->deny);
        grant->of = g_steal_pointer(&of);
    }
    g_mutex_unlock(&client->lock);
    if (status != NFS4_OK || joined)
        lares_open_close(open);
    lares_open_unref(open);
    if (status != NFS4_OK) {
        if (grant)
            nfs4_grant_unref(grant);
        return status;
    }
    if (joined)
        return join_grant(c, grant, args, result);
    result->grant = grant;
    result->stateid = nfs4_grant_stateid(grant);
    return NFS4_OK;
}

uint32_t
nfs4_open_object(Nfs4Compound *c, Nfs4Owner *owner, const Nfs4OpenArgs *args, const LaresObject *object,
                 Nfs4OpenResult *result)
{
    uint32_t status = nfs4_need_regular(c, object);
    if (status != NFS4_OK)
        return status;
    Nfs4Grant *grant = find_grant(owner, object->node);
    if (grant) {
        status = join_grant(c, grant, args, result);
    } else {
        LaresHolder *holder;
        status = get_holder(c, owner->client, &holder);
        if (status != NFS4_OK)
            return status;
        LaresOpen *open;
        LaresStatus opened = nfs4_files_open(c, object, args->access, args->deny, holder, &open);
        lares_holder_unref(holder);
        if (opened != LARES_OK)
            return nfs4_status(c, opened);
        status = give_grant(c, owner, args, open, result);
    }
    if (status == NFS4_OK)
        lares_object_copy(&result->object, object);
    return status;
}

/* ---- By name
 * --------------------------------------------------------------------------------------------------------- */

/* An exclusive create keeps its verifier in the times (RFC 7530 16.16.5), as mode bits of 31: they must look like
 * dates. */
static void
verifier_times(const uint8_t *verifier, LaresTime *atime, LaresTime *mtime)
{
    uint32_t word[2];
    memcpy(word, verifier, sizeof word);
    *atime = (LaresTime){.sec = GUINT32_FROM_BE(word[0]) & 0x7fffffff};
    *mtime = (LaresTime){.sec = GUINT32_FROM_BE(word[1]) & 0x7fffffff};
}

static gboolean
is_exclusive(const Nfs4OpenArgs *args)
{
    return args->how == EXCLUSIVE4 || args->how == EXCLUSIVE4_1;
}

static void
plan_create(Nfs4Compound *c, Nfs4OpenArgs *args, LaresCreate *how)
{
    *how = (LaresCreate){.type = LARES_TYPE_REGULAR, .attrs = args->attrs.set, .acl = args->attrs.acl};
    how->exclusive = args->how != UNCHECKED4;
    if (!(how->attrs.mask & LARES_ATTR_MODE) && !how->acl && !nfs4_fattr_inherits(c, &c->current)) {
        how->attrs.mask |= LARES_ATTR_MODE;
        how->attrs.mode = 0600; /* the client sets what it wants next; nobody else looks in meanwhile */
    }
    if (is_exclusive(args)) {
        verifier_times(args->verifier, &how->attrs.atime, &how->attrs.mtime);
        how->attrs.mask |= LARES_ATTR_ATIME | LARES_ATTR_MTIME;
    }
}

/* The file is there: made by this very request, sent twice? */
static gboolean
made_by_verifier(Nfs4Compound *c, const LaresObject *object, const uint8_t *verifier)
{
    LaresAttrs attrs;
    LaresTime atime, mtime;
    verifier_times(verifier, &atime, &mtime);
    uint32_t mask = LARES_ATTR_ATIME | LARES_ATTR_MTIME | LARES_ATTR_SIZE;
    return object->node->type == LARES_TYPE_REGULAR &&
           lares_files_getattr(c->files, &c->caller, object, mask, &attrs, NULL) == LARES_OK && attrs.size == 0 &&
           attrs.atime.sec == atime.sec && attrs.mtime.sec == mtime.sec;
}

/* RFC 7530 16.16.3: of an existing file only the size is set; through the open, which may deny all others to write. */
static uint32_t
set_size(Nfs4Compound *c, const Nfs4OpenArgs *args, const LaresObject *object, Nfs4OpenResult *result)
{
    LaresSetAttrs size = {.mask = LARES_ATTR_SIZE, .size = args->attrs.set.size};
    LaresIo io = {NULL, FALSE};
    LaresStatus status = LARES_OK;
    if (args->access & LARES_ACCESS_WRITE)
        status = lares_files_io_begin(c->files, &c->caller, object, result->grant->open, LARES_ACCESS_WRITE, &io);
    if (status == LARES_OK)
        status = nfs4_set_size_within(c, object, io.file, &size);
    lares_files_io_end(&io);
    if (status == LARES_OK)
        nfs4_bitmap_set(&result->attrset, FATTR4_SIZE);
    return nfs4_status(c, status);
}

static uint32_t
open_existing(Nfs4Compound *c, Nfs4Owner *owner, Nfs4OpenArgs *args, const char *name, Nfs4OpenResult *result)
{
    LaresObject object;
    LaresStatus found = nfs4_find(c, name, args->access, TRUE, &object);
    if (found != LARES_OK)
        return nfs4_status(c, found == LARES_SYMLINK ? LARES_NOTDIR : found);
    uint32_t status = NFS4_OK;
    if (args->create && args->how == GUARDED4)
        status = NFS4ERR_EXIST;
    else if (args->create && is_exclusive(args) && !made_by_verifier(c, &object, args->verifier))
        status = NFS4ERR_EXIST;
    if (status == NFS4_OK)
        status = nfs4_open_object(c, owner, args, &object, result);
    if (status == NFS4_OK && args->create && args->how == UNCHECKED4 && (args->attrs.set.mask & LARES_ATTR_SIZE))
        status = set_size(c, args, &object, result);
    lares_object_clear(&object);
    return status;
}

static void
note_created(const Nfs4Compound *c, Nfs4OpenArgs *args, Nfs4OpenResult *result)
{
    if (lares_object_is_set(&c->current_of))
        nfs4_fattr_only_own(&args->attrs);
    nfs4_fattr_created(&args->attrs);
    result->attrset = args->attrs.done;
    if (is_exclusive(args)) {
        nfs4_bitmap_set(&result->attrset, FATTR4_TIME_ACCESS);
        nfs4_bitmap_set(&result->attrset, FATTR4_TIME_MODIFY);
    }
}

/* No more opens are given, but one that is there needs none: the client asks with create as often as without, and would
 * otherwise wait for ever for what it holds. `refusal` is the answer to everything else. */
static uint32_t
open_held(Nfs4Compound *c, Nfs4Owner *owner, Nfs4OpenArgs *args, const char *name, uint32_t refusal,
          Nfs4OpenResult *result)
{
    LaresObject object;
    if (nfs4_find(c, name, args->access, TRUE, &object) != LARES_OK)
        return refusal;
    Nfs4Grant *grant = find_grant(owner, object.node);
    lares_object_clear(&object);
    if (!grant)
        return refusal;
    nfs4_grant_unref(grant);
    return open_existing(c, owner, args, name, result);
}

static uint32_t
create_and_open(Nfs4Compound *c, Nfs4Owner *owner, Nfs4OpenArgs *args, const char *name, Nfs4OpenResult *result)
{
    LaresHolder *holder;
    uint32_t may = get_holder(c, owner->client, &holder);
    if (may != NFS4_OK)
        return open_held(c, owner, args, name, may, result);
    LaresCreate how;
    LaresOpen *open = NULL;
    gboolean created = FALSE;
    nfs4_fattr_settle(c, &c->current, &args->attrs);
    plan_create(c, args, &how);
    c->serial = TRUE;
    LaresStatus status = nfs4_files_open_create(c, name, &how, args->access, args->deny, holder, &result->object, &open,
                                                &created, &result->info);
    lares_holder_unref(holder);
    /* It is there already: the owner's own deny mode, an exclusive retry and a plain refusal are told apart there. */
    if (status == LARES_EXIST || status == LARES_SHARE_DENIED)
        return open_existing(c, owner, args, name, result);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    if (created)
        note_created(c, args, result);
    else if (how.attrs.mask & LARES_ATTR_SIZE)
        nfs4_bitmap_set(&result->attrset, FATTR4_SIZE);
    return give_grant(c, owner, args, open, result);
}

uint32_t
nfs4_open_name(Nfs4Compound *c, Nfs4Owner *owner, Nfs4OpenArgs *args, Nfs4OpenResult *result)
{
    const char *name;
    uint32_t status = nfs4_need_directory(c, &c->current);
    if (status == NFS4_OK)
        status = nfs4_check_name(c, args->name, args->name_len, &name);
    if (status != NFS4_OK)
        return status;
    if (args->create)
        return create_and_open(c, owner, args, name, result);
    status = open_existing(c, owner, args, name, result);
    if (status == NFS4_OK) {
        LaresAttrs attrs = {0};
        lares_files_getattr(c->files, &c->caller, &c->current, LARES_ATTR_CHANGE, &attrs, NULL);
        result->info.before = result->info.after = attrs.change;
    }
    return status;
}
