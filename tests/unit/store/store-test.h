/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of stores share: short calls that act as somebody and say where they failed. */
#pragma once

#include <lares/store.h>
#include <string.h>

#define IFACE(s) LARES_STORE_GET_IFACE(s)

#define assert_status(expr, want)                                                                                      \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        LaresStatus got_ = (expr), want_ = (want);                                                                     \
        if (got_ != want_)                                                                                             \
            g_error("%s:%d: %s: got %s, want %s", __FILE__, __LINE__, #expr, lares_status_name(got_),                  \
                    lares_status_name(want_));                                                                         \
    }                                                                                                                  \
    G_STMT_END
#define assert_ok(expr) assert_status(expr, LARES_OK)

static inline LaresCred
cred_of(uint32_t uid, uint32_t gid)
{
    return (LaresCred){.uid = uid, .gid = gid};
}

static inline LaresNode *
store_root(LaresStore *s)
{
    LaresNode *node = NULL;
    assert_ok(IFACE(s)->root(s, &node));
    return node;
}

static inline LaresNode *
must_lookup(LaresStore *s, const LaresCred *cred, LaresNode *dir, const char *name)
{
    LaresNode *node = NULL;
    assert_ok(IFACE(s)->lookup(s, cred, dir, name, &node));
    return node;
}

static inline LaresStatus
try_lookup(LaresStore *s, const LaresCred *cred, LaresNode *dir, const char *name)
{
    LaresNode *node = NULL;
    LaresStatus status = IFACE(s)->lookup(s, cred, dir, name, &node);
    if (status == LARES_OK)
        lares_node_unref(node);
    return status;
}

static inline LaresStatus
try_make(LaresStore *s, const LaresCred *cred, LaresNode *dir, const char *name, LaresFileType type, uint32_t mode,
         LaresNode **out)
{
    LaresCreate how = {.type = type, .exclusive = TRUE, .target = type == LARES_TYPE_SYMLINK ? "target" : NULL};
    LaresNode *node = NULL;
    LaresFile *file = NULL;
    gboolean created = FALSE;
    how.attrs.mask = LARES_ATTR_MODE;
    how.attrs.mode = mode;
    LaresStatus status = IFACE(s)->create(s, cred, dir, name, &how, 0, &node, &file, &created);
    g_assert_null(file);
    if (status == LARES_OK)
        g_assert_true(created);
    if (status == LARES_OK && out)
        *out = node;
    else if (status == LARES_OK)
        lares_node_unref(node);
    return status;
}

static inline LaresNode *
must_make(LaresStore *s, const LaresCred *cred, LaresNode *dir, const char *name, LaresFileType type, uint32_t mode)
{
    LaresNode *node = NULL;
    assert_ok(try_make(s, cred, dir, name, type, mode, &node));
    return node;
}

static inline LaresAttrs
attrs_of(LaresStore *s, LaresNode *node)
{
    LaresAttrs a;
    assert_ok(IFACE(s)->getattr(s, node, LARES_ATTR_STAT, &a));
    return a;
}

static inline LaresStatus
try_open(LaresStore *s, const LaresCred *cred, LaresNode *node, uint32_t access)
{
    LaresFile *file = NULL;
    LaresStatus status = IFACE(s)->open(s, cred, node, access, &file);
    if (status == LARES_OK)
        lares_file_unref(file);
    return status;
}

static inline LaresFile *
must_open(LaresStore *s, const LaresCred *cred, LaresNode *node, uint32_t access)
{
    LaresFile *file = NULL;
    assert_ok(IFACE(s)->open(s, cred, node, access, &file));
    return file;
}

static inline LaresStatus
try_chmod(LaresStore *s, const LaresCred *cred, LaresNode *node, uint32_t mode)
{
    LaresSetAttrs set = {.mask = LARES_ATTR_MODE, .mode = mode};
    return IFACE(s)->setattr(s, cred, node, &set);
}

static inline size_t
must_write(LaresStore *s, LaresFile *file, uint64_t offset, const void *bytes, size_t len)
{
    struct iovec iov = {(void *)bytes, len};
    size_t done = 0;
    assert_ok(IFACE(s)->write(s, file, offset, &iov, 1, LARES_STABLE_NONE, &done));
    return done;
}

static inline uint32_t
access_of(LaresStore *s, const LaresCred *cred, LaresNode *node, uint32_t wanted)
{
    uint32_t allowed = 0;
    assert_ok(IFACE(s)->access(s, cred, node, wanted, &allowed));
    return allowed;
}

#define RW (LARES_ACCESS_READ | LARES_ACCESS_WRITE)
